"""Idempotency-Key and people who were erased: no answer stays under their id."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import idempotency
from shared.db import Database
from shared.wire import Statement
from tests.erasure_stack import enter
from tests.http_example import ME, OTHER
from tests.idempotency_desk import Desk
from tests.platform import Platform


@pytest.fixture
def desk(kit_db: Callable[[], str]) -> Desk:
    """A desk without orders, in a database of its own."""
    return Desk(Database(kit_db()))


def _erased(desk: Desk) -> None:
    """ME is erased, by another connection."""
    tombstone = (
        "insert into erased_people (person_id, erasure_id, erased, held)"
        " values (:me, gen_random_uuid(), '{}', '[]')"
    )
    with ThreadPoolExecutor(1) as pool:
        pool.submit(desk.db.pipeline, Statement(tombstone, {"me": ME})).result(30)


def test_no_answer_is_kept_for_who_was_erased(desk: Desk) -> None:
    """A token that is valid for a moment longer leaves no row with its person's id; others do."""
    _erased(desk)
    people = ("patient", "dentist", None)
    paths = ("/desk/mine", "/desk/mine", "/desk/orders")
    sent = [desk.send(path=path, who=who) for path, who in zip(paths, people, strict=True)]
    assert [201, 201, 201] == [answer.status_code for answer in sent]
    rows = desk.db.all("select person_id from idempotency_keys order by person_id")
    assert [OTHER, None] == [row["person_id"] for row in rows]
    assert 3 == desk.orders()


def test_an_answer_that_raced_with_an_erasure_goes(desk: Desk) -> None:
    """A snapshot from before the erasure does not show it: the next tick of the schedule does."""
    desk.after = lambda: _erased(desk)
    assert 201 == desk.send(path="/desk/mine", who="patient").status_code
    assert 1 == desk.answers()
    assert 1 == desk.db.transaction(idempotency.purge)
    assert 0 == desk.answers()


def test_who_erases_themselves_leaves_no_answer(service_db: Callable[[str], str]) -> None:
    """The request for one's own erasure is repeated as safely without a row: it is one erasure."""
    platform = Platform(service_db)
    patient_id, token = enter(platform)
    body, headers = {"patient_id": patient_id}, {"Idempotency-Key": "my-own"}
    first, second = (
        platform.call("POST", "/api/auth/erasures", body, token=token, headers=headers)
        for _ in range(2)
    )
    assert [202, 202] == [first.status_code, second.status_code]
    assert first.json == second.json
    rows = platform.databases["auth"].all("select person_id from idempotency_keys")
    assert [] == rows
