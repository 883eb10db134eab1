"""Idempotency-Key: whatever happens in between, one effect and the first answer again."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from shared import idempotency
from shared.db import Database, Isolation
from tests.http_example import ME, check
from tests.idempotency_desk import Desk

REPLAYED = "Idempotent-Replayed"


@pytest.fixture(scope="module")
def url(kit_db: Callable[[], str]) -> str:
    """One database for this module."""
    return kit_db()


@pytest.fixture
def desk(url: str) -> Desk:
    """A desk without orders."""
    db = Database(url)
    db.all("delete from documents")
    db.all("delete from idempotency_keys")
    return Desk(db)


def elsewhere(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(30)


def test_a_repetition_gets_the_first_answer(desk: Desk) -> None:
    """Status, bytes, Location and ETag are the first ones; a header tells; one effect."""
    first, second = desk.send(), desk.send()
    assert (201, None) == (first.status_code, first.headers.get(REPLAYED))
    assert (201, "true") == (second.status_code, second.headers.get(REPLAYED))
    for name in ("Location", "ETag", "Content-Type", "Content-Length", "Cache-Control"):
        assert first.headers[name] == second.headers[name]
    assert first.data == second.data
    assert (1, 1) == (desk.orders(), desk.answers())


def test_without_the_header_nothing_is_held_or_stored(desk: Desk) -> None:
    """The effect is committed before the handler goes on, and each request has its own."""
    seen: list[int] = []
    desk.after = lambda: seen.append(desk.orders())
    desk.send(key=None)
    desk.send(key=None)
    assert ([1, 2], 0) == (seen, desk.answers())


def test_with_the_header_nothing_is_seen_before_the_answer(desk: Desk) -> None:
    """The effect waits for its answer: nobody else sees one without the other."""
    seen: list[int] = []
    desk.after = lambda: seen.append(desk.orders())
    assert 201 == desk.send().status_code
    assert ([0], 1) == (seen, desk.orders())


@pytest.mark.parametrize("key", ["", '"', '""', '"k', 'k"', "a b", 'a"b', "k\u00e9", "k" * 256])
def test_what_is_no_key_is_400(desk: Desk, key: str) -> None:
    """One to 255 visible ASCII characters, in quotes or not."""
    check(400, desk.send(key=key), "bad-request")
    assert 0 == desk.orders()


@pytest.mark.parametrize("key", ["k" * 255, "!~,;=", "8e03978e-40d5-43dd-bc93-6894a57f9324"])
def test_quotes_are_not_part_of_the_key(desk: Desk, key: str) -> None:
    """The draft's structured string and the bare text are the same key."""
    assert [201, 201] == [desk.send(key=key).status_code, desk.send(key=f'"{key}"').status_code]
    assert 1 == desk.orders()


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("/desk/orders", {"what": "brush"}),
        ("/desk/orders", {"path": "/desk/orders?limit=2"}),
        ("/desk/orders/1", {"path": "/desk/orders/2"}),
        ("/desk/orders/1", {"If_Match": '"2"'}),
    ],
    ids=["body", "query", "path", "If-Match"],
)
def test_another_request_under_the_same_key_is_422(
    desk: Desk, path: str, other: dict[str, str]
) -> None:
    """Body, path, query and If-Match all belong to a request; nothing happens."""
    first = {"path": path, "If_Match": '"1"'}
    assert desk.send(**first).status_code in (200, 201)
    check(422, desk.send(**{**first, **other}), "idempotency-key-reused")
    assert 1 == desk.orders()


def test_a_key_belongs_to_its_caller_and_route(desk: Desk) -> None:
    """The same key of another person, of nobody, or for another route is another key."""
    asked = [("/desk/mine", "patient"), ("/desk/mine", "dentist"), ("/desk/orders", None)]
    answers = [desk.send(path=path, who=who) for path, who in asked]
    assert [(201, None)] * 3 == [(one.status_code, one.headers.get(REPLAYED)) for one in answers]
    assert (3, 3) == (desk.orders(), desk.answers())


def test_a_problem_undoes_the_effect_and_is_not_stored(desk: Desk) -> None:
    """What fails after its transaction is rolled back; the same key may try again."""

    def fail() -> None:
        raise LookupError

    desk.after = fail
    check(500, desk.send())
    assert (0, 0) == (desk.orders(), desk.answers())
    desk.after = lambda: None
    assert (201, None) == ((again := desk.send()).status_code, again.headers.get(REPLAYED))
    assert 1 == desk.orders()


@pytest.mark.parametrize("status", [303, 409])
def test_an_answer_that_is_not_2xx_undoes_the_effect(desk: Desk, status: int) -> None:
    """Only success is stored, also where the handler returns its refusal."""
    desk.status = status
    assert status == desk.send().status_code
    assert (0, 0) == (desk.orders(), desk.answers())


def test_a_request_without_effect_stores_nothing(desk: Desk) -> None:
    """Who opens no transaction is simply asked again."""
    answers = [desk.send(path="/desk/look") for _ in range(2)]
    assert [(200, None)] * 2 == [(one.status_code, one.headers.get(REPLAYED)) for one in answers]
    assert 0 == desk.answers()


def test_only_posts_are_stored(desk: Desk) -> None:
    """A PUT is guarded by its version: the header means nothing there."""
    assert [200, 200] == [desk.send(method="PUT").status_code for _ in range(2)]
    assert (2, 0) == (desk.orders(), desk.answers())


def test_the_first_is_still_under_way(desk: Desk) -> None:
    """Meanwhile a repetition is 409 and told to come back; afterwards it gets the answer."""
    refused: list[TestResponse] = []

    def ask() -> None:
        desk.after = lambda: None
        refused.append(elsewhere(desk.send))

    desk.after = ask
    first = desk.send()
    check(409, refused[0], "idempotency-in-progress")
    assert "1" == refused[0].headers["Retry-After"]
    assert first.data == desk.send().data
    assert 1 == desk.orders()


@pytest.mark.parametrize("path", ["/desk/orders", "/desk/unique"])
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_twenty_at_once_are_one(desk: Desk, isolation: Isolation, path: str) -> None:
    """Of twenty threads with one key one has an effect; the others are 409 or get its answer."""
    desk.isolation = isolation
    gate = threading.Barrier(20)

    def ask(_: int) -> TestResponse:
        gate.wait(30)
        try:
            return desk.send(path=path)
        finally:
            desk.db.close()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    good = [answer for answer in answers if answer.status_code == 201]
    for answer in answers:
        if answer not in good:
            check(409, answer, "idempotency-in-progress")
    assert 1 == sum(REPLAYED not in answer.headers for answer in good)
    assert {desk.send(path=path).data} == {answer.data for answer in good}
    assert (1, 1) == (desk.orders(), desk.answers())


@pytest.mark.parametrize("path", ["/desk/orders", "/desk/unique"])
def test_the_first_ends_between_look_up_and_lock(desk: Desk, path: str) -> None:
    """Who finds the consequences of the first request gets its answer, not a conflict with it."""
    first: list[TestResponse] = []

    def hasten() -> None:
        desk.before = lambda: None
        first.append(elsewhere(lambda: desk.send(path=path)))

    desk.before = hasten
    second = desk.send(path=path)
    assert (201, "true") == (second.status_code, second.headers.get(REPLAYED))
    assert first[0].data == second.data
    assert (1, 1) == (desk.orders(), desk.answers())


def test_a_genuine_refusal_stays_one(desk: Desk) -> None:
    """Another request's conflict is the caller's answer, with and without a key."""
    assert 201 == desk.send(path="/desk/unique", key="a").status_code
    check(409, desk.send(path="/desk/unique", key="b"), "sold")
    assert (1, 1) == (desk.orders(), desk.answers())


def test_a_crash_before_the_commit_leaves_neither_effect_nor_claim(desk: Desk) -> None:
    """A connection that ends in between is 503; the repetition starts from nothing."""

    def cut() -> None:
        desk.after = lambda: None
        row = desk.db.one("select pg_backend_pid() as pid")
        assert row is not None
        twin = desk.db.twin()
        twin.one("select pg_terminate_backend(:pid::int, 5000)", pid=row["pid"])
        twin.close()

    desk.after = cut
    check(503, desk.send(), "unavailable")
    assert (0, 0) == (desk.orders(), desk.answers())
    assert (201, None) == ((again := desk.send()).status_code, again.headers.get(REPLAYED))
    assert (1, 1) == (desk.orders(), desk.answers())


def test_a_lost_reply_to_commit_is_found_again(desk: Desk) -> None:
    """When the commit happened and nobody heard of it, the stored answer is the answer."""
    desk.db.one("select 1")
    wire = desk.db._connections.wire()
    real = wire._handle_messages

    def deaf(context: Any) -> None:
        real(context)
        if context.statement == "COMMIT":
            raise OSError("the answer never came")

    wire._handle_messages = deaf  # type: ignore[method-assign]
    answer = desk.send()
    assert (201, "true") == (answer.status_code, answer.headers.get(REPLAYED))
    assert (1, 1) == (desk.orders(), desk.answers())


def test_answers_rest_sealed_and_name_their_person(desk: Desk) -> None:
    """The table holds nothing readable of request or answer; an erasure finds the row."""
    secret = "gravel-otter-sings-4"
    assert (
        201 == desk.send(secret, key="key-in-plain", path="/desk/mine", who="patient").status_code
    )
    rows = desk.db.all("select * from idempotency_keys")
    assert [ME] == [row["person_id"] for row in rows]
    stored = b"".join(value for row in rows for value in row.values() if isinstance(value, bytes))
    assert [] == [
        word for word in (secret, "key-in-plain", "/desk/mine") if word.encode() in stored
    ]


def test_a_key_that_is_known_is_no_way_to_try_passwords(desk: Desk) -> None:
    """After ten other bodies not even the right one gets the answer."""
    assert 201 == desk.send("right").status_code
    tried = [desk.send(f"wrong{number}").status_code for number in range(10)]
    assert [422] * 10 == tried
    assert (422, 1) == (desk.send("right").status_code, desk.orders())


def test_answers_are_kept_for_a_day(desk: Desk) -> None:
    """Older ones go with the next tick of the schedule; then the key is free again."""
    for key in ("old", "new"):
        desk.send(key=key)
    age = "update idempotency_keys set created_at = now() - make_interval(hours => :hours::int)"
    desk.db.all(age, hours=25)
    desk.send(key="young")
    assert 2 == desk.db.transaction(idempotency.purge)
    replayed = Counter(desk.send(key=key).headers.get(REPLAYED) for key in ("old", "young"))
    assert {None: 1, "true": 1} == replayed
