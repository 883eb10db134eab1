"""A desk that takes orders: a small API on a real database, to ask the same thing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from flask import Flask, Response, request
from pydantic import BaseModel, ConfigDict
from werkzeug.test import TestResponse

from shared.access import anyone, public
from shared.crypto import Vault
from shared.db import Database, Isolation, Tx, UniqueViolation
from shared.errors import Conflict
from shared.http import Api, IfMatch, Reply
from shared.idempotency import Once
from shared.identity import Caller
from shared.pages import PageQuery
from tests.http_example import authenticate

__all__ = ["Desk"]


class Order(BaseModel):
    """What is wanted."""

    model_config = ConfigDict(extra="forbid")

    what: str


class Placed(BaseModel):
    """What will come."""

    number: str
    what: str


class Sold(Conflict):
    """There is only one of these."""


def _nothing() -> None:
    return None


class Desk:
    """Each order is a row of ``documents``; hooks run around the transaction that makes it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.before: Callable[[], object] = _nothing
        self.after: Callable[[], object] = _nothing
        self.isolation: Isolation = "REPEATABLE READ"
        self.status: int | None = None
        self._once = Once(lambda: db, lambda: Vault(db))
        self._api = Api("desk", prefix="/desk")
        self._routes()
        self.app = Flask("desk")
        methods = ["GET", "POST", "PUT"]
        self.app.add_url_rule("/<path:path>", view_func=self._run, methods=methods)

    def _run(self, path: str) -> Response:
        return self._api.handle(request, authenticate, self._once)

    def _routes(self) -> None:
        api = self._api

        @api.post("/orders", access=public(), returns=Placed, status=201, problems=[Sold])
        def order(body: Order, query: PageQuery) -> Reply[Placed]:
            """Order by whoever it is."""
            return self._place(uuid4().hex, body)

        @api.post("/unique", access=public(), returns=Placed, status=201, problems=[Sold])
        def unique(body: Order) -> Reply[Placed]:
            """Order what there is only one of."""
            return self._place(body.what, body)

        @api.post("/mine", access=anyone(), returns=Placed, status=201)
        def mine(body: Order, caller: Caller) -> Reply[Placed]:
            """Order by somebody who is known."""
            return self._place(f"{caller.id}{uuid4()}", body)

        @api.post("/orders/{number}", access=public(), returns=Placed)
        def change(number: str, body: Order, if_match: IfMatch) -> Reply[Placed]:
            """Order again."""
            return self._place(f"{number}{uuid4()}", body)

        @api.post("/look", access=public(), returns=int)
        def look() -> int:
            """Count, and change nothing."""
            return self.orders()

        @api.put("/orders", access=public(), returns=Placed)
        def put(body: Order) -> Reply[Placed]:
            """Order by PUT."""
            return self._place(uuid4().hex, body)

    def _place(self, number: str, body: Order) -> Reply[Placed]:
        def work(tx: Tx) -> None:
            tx.run(
                "insert into documents (collection, id, version) values ('orders', :id, 1)",
                id=number,
            )

        self.before()
        try:
            self.db.transaction(work, isolation=self.isolation)
        except UniqueViolation:
            raise Sold from None
        self.after()
        made = Placed(number=number, what=body.what)
        return Reply(made, location=f"/desk/orders/{number}", etag=1, status=self.status)

    def send(
        self,
        what: str = "floss",
        key: str | None = "k1",
        *,
        path: str = "/desk/orders",
        who: str | None = None,
        method: str = "POST",
        **headers: str,
    ) -> TestResponse:
        """One request; ``headers`` are spelled with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["Idempotency-Key"] = key
        if who is not None:
            named["Authorization"] = f"Bearer {who}"
        sent = json.dumps({"what": what})
        return self.app.test_client().open(
            path, method=method, data=sent, content_type="application/json", headers=named
        )

    def orders(self) -> int:
        """How many orders there are, for all the world to see."""
        return self._count("select count(*) as n from documents")

    def answers(self) -> int:
        """How many answers are stored."""
        return self._count("select count(*) as n from idempotency_keys")

    def _count(self, sql: str) -> int:
        twin = self.db.twin()
        row: dict[str, Any] = twin.one(sql) or {}
        twin.close()
        return int(row["n"])
