"""One service on a database of its own: its HTTP edge, its handlers, and what it sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import flask
import pytest
from werkzeug.test import TestResponse

from shared import runtime
from shared.db import Tx
from shared.errors import Problem, Unauthenticated
from shared.identity import ANONYMOUS, Caller
from shared.inbox import Outcome, receive
from shared.messages import Envelope, Event, Message, envelope

__all__ = ["ServiceStack", "stack_fixture", "world_fixture"]

S = TypeVar("S", bound="ServiceStack")


class ServiceStack:
    """A subclass says which service; making one makes it the process's service of that name."""

    service: runtime.Service
    by: Caller | None = None
    """Who sends a request that names nobody; None: nobody is signed in."""

    def __init__(self, url: str) -> None:
        self.sent: list[Envelope] = []
        self.refused: list[Problem | None] = []
        """The answer to each command: None when it was done."""
        self.db = runtime.connected(self.service.name, url, self)
        self.callers: dict[str, Caller] = {}
        """The Authorization header -> who that is."""
        self.app = flask.Flask(self.service.name)
        for rule in ("/", "/<path:path>"):
            self.app.add_url_rule(
                rule,
                rule,
                lambda path="": self.service.api.handle(
                    flask.request, self._authenticate, self.service._once
                ),
                methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            )

    def publish(self, topic: str, envelopes: Any) -> None:
        """Stand in for a broker and keep what is sent."""
        self.sent.extend(Envelope.parse(one.to_json()) for one in envelopes)

    def told(self) -> list[Envelope]:
        """What was sent since the last look."""
        sent, self.sent = self.sent, []
        return sent

    def types(self, **about: object) -> list[str]:
        """The types of what was sent since the last look, with these values in the payload."""
        return [
            env.event_type
            for env in self.told()
            if all(value == env.payload.get(field) for field, value in about.items())
        ]

    def _authenticate(self, header: str | None) -> Caller:
        if header is None:
            return ANONYMOUS
        if header not in self.callers:
            raise Unauthenticated
        return self.callers[header]

    def authorization(self, by: Caller) -> str:
        """The header of whoever this is."""
        token = f"Bearer {by.id}-{','.join(sorted(by.roles))}"
        self.callers[token] = by
        return token

    def send(
        self,
        method: str,
        path: str = "",
        body: Any = None,
        *,
        by: Caller | None = None,
        match: int | str | None = None,
        key: str | None = None,
        purpose: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """One request below the service's prefix by ``by``, with If-Match ``match``, the
        Idempotency-Key ``key`` and the X-Purpose-Of-Use ``purpose``."""
        caller = by or self.by
        given = {
            "Authorization": caller and self.authorization(caller),
            "If-Match": None if match is None else f'"{match}"',
            "Idempotency-Key": key,
            "X-Purpose-Of-Use": purpose,
        }
        return self.app.test_client().open(
            f"{self.service.prefix}{path}",
            method=method,
            headers={name: value for name, value in given.items() if value} | dict(headers or {}),
            data=None if body is None else json.dumps(body),
            content_type=None if body is None else "application/json",
        )

    def made(self, method: str, path: str, body: Any = None, **named: Any) -> dict[str, Any]:
        """The body of the answer to a request that succeeds."""
        answer = self.send(method, path, body, **named)
        assert 300 > answer.status_code, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def receive(self, message: Message, **named: Any) -> Outcome:
        """Deliver ``message`` from the service that publishes it (commands: auth); ``named`` as
        for ``envelope``."""
        source = message.topic() if isinstance(message, Event) else "auth"
        return self.deliver(envelope(message, source=source, **named), topic=source)

    def deliver(self, env: Envelope, topic: str = "auth") -> Outcome:
        """Deliver this very envelope, as it arrives on ``topic``."""
        return receive(self.db, self.service.on, env, replied=self._replied, topic=topic)

    def _replied(self, tx: Tx, env: Envelope, problem: Problem | None) -> None:
        self.refused.append(problem)

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Look into the database."""
        return self.db.all(sql, **params)


def stack_fixture(kind: type[S]) -> Any:
    """A fixture: one such stack for the module that has it."""

    @pytest.fixture(scope="module")
    def stack(service_db: Callable[[str], str]) -> S:
        return kind(service_db(kind.service.name))

    return stack


def world_fixture(kind: Callable[[Callable[[str], str]], object]) -> Any:
    """A fixture: one such world of several services for the module that has it."""

    @pytest.fixture(scope="module")
    def world(service_db: Callable[[str], str]) -> object:
        return kind(service_db)

    return world
