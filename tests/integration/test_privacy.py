"""Declared personal data: export, erasure, holds, and what the kit itself keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from infra.local.postgres import Cluster
from shared.config import config
from shared.contracts.gdpr import GdprDataDeletion, GdprDataErased
from shared.crypto import Vault
from shared.db import Database, Tx
from shared.outbox import Outbox
from shared.privacy import Hold, Personal, Privacy
from shared.testing import MemoryBus
from tests.erasure_stack import as_superuser

_TABLES = """
create table visits (
  person_id uuid not null, day text not null, note bytea,
  visited_at timestamptz);
create table ratings (author uuid, stars integer not null);
create table merges (kept uuid not null, merged uuid not null);
create table rooms (name text not null)
"""
_LAW = "30 years after the last visit"
_DAYS = 10_957

privacy = Privacy(
    tables=(
        Personal(
            "visits",
            plain=("day",),
            sealed={"note": "visits.note"},
            hold=Hold("visit", since="visited_at"),
        ),
        Personal(
            "ratings",
            person="author",
            plain=("stars",),
            erase="anonymise",
            change={"author": "null"},
        ),
        Personal("merges", where=":person in (kept, merged)", erase="keep"),
    ),
    impersonal=frozenset({"rooms"}),
)


@pytest.fixture(autouse=True)
def _rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    _rule(monkeypatch, visit={"days": _DAYS, "reason": _LAW})
    yield
    monkeypatch.undo()
    config.cache_clear()


def _rule(monkeypatch: pytest.MonkeyPatch, **kinds: Mapping[str, Any]) -> None:
    """What the operator says from now on."""
    monkeypatch.setenv("RETENTION", json.dumps(kinds))
    config.cache_clear()


@pytest.fixture
def bus() -> MemoryBus:
    made = MemoryBus()
    made.topic("visits", "gdpr")
    return made


@pytest.fixture
def db(kit_db: Callable[[], str], cluster: Cluster, bus: MemoryBus) -> Database:
    """A service's database with tables of its own."""
    made = Database(kit_db(), outbox=Outbox("visits", bus))
    owner = as_superuser(cluster, made)
    for sql in _TABLES.split(";"):
        owner.all(sql)
    owner.all("grant all on all tables in schema public to public")
    owner.close()
    return made


def _visit(db: Database, person: UUID, day: str, at: str | None = None) -> None:
    def work(tx: Tx) -> None:
        note = Vault(db).new_subject(tx, person).seal("visits.note", f"told on {day}")
        tx.run(
            "insert into visits values (:p, :day, :note, :at::text::timestamptz)",
            p=person,
            day=day,
            note=note,
            at=at,
        )

    db.transaction(work)


def _rate(db: Database, person: UUID, stars: int) -> None:
    db.all("insert into ratings values (:p, :stars)", p=person, stars=stars)


def _erase(db: Database, person: UUID, declared: Privacy = privacy) -> tuple[dict[str, int], Any]:
    return db.transaction(
        lambda tx: declared.erase(tx, person, uuid4())[:2], isolation="READ COMMITTED"
    )


def _answers(db: Database, person: UUID) -> GdprDataErased:
    """Let the deletion happen as in every service; what it answers."""
    event = GdprDataDeletion(
        erasure_id=uuid4(), patient_id=person, reason="CONSENT_WITHDRAWN", requested_at=_now(db)
    )
    emitted: list[Any] = []

    def work(tx: Tx) -> None:
        privacy.answer("visits", tx, event)
        emitted[:] = [pending.message for pending in tx.pending]

    db.transaction(work, isolation="READ COMMITTED")
    assert [event.erasure_id] == [answer.erasure_id for answer in emitted]
    answer = emitted[0]
    assert isinstance(answer, GdprDataErased)
    return answer


def _now(db: Database) -> Any:
    return db.all("select now() as now")[0]["now"]


def _visits(db: Database, person: UUID) -> list[str]:
    rows = db.all("select day from visits where person_id = :p order by day", p=person)
    return [row["day"] for row in rows]


def test_an_export_is_readable_and_about_one_person(db: Database) -> None:
    """What is declared is shown in the clear, what is not is not, and nobody else's rows are."""
    person, other = uuid4(), uuid4()
    _visit(db, person, "2026-01-15")
    _visit(db, other, "2026-01-16")
    _rate(db, person, 5)
    expected = {
        "visits": [{"day": "2026-01-15", "note": "told on 2026-01-15"}],
        "ratings": [{"stars": 5}],
    }
    assert expected == privacy.export(db, Vault(db), person)
    assert {"visits": [], "ratings": []} == privacy.export(db, Vault(db), uuid4())


def test_an_erasure_does_what_each_table_declares(db: Database) -> None:
    """Rows are deleted, made anonymous or kept; the key goes; other people's rows stay."""
    person, other = uuid4(), uuid4()
    for who in (person, other):
        _visit(db, who, "2026-01-15")
        _rate(db, who, 5)
    db.all("insert into merges values (:p, :o)", p=person, o=other)
    assert {"visits": 1} == privacy.remains(db, person)
    erased, held = _erase(db, person)
    assert (1, 1, 1) == (erased["visits"], erased["ratings"], erased["subject_keys"])
    assert "merges" not in erased
    assert [] == held
    assert {} == privacy.remains(db, person)
    assert [] == _visits(db, person)
    assert [None, other] == [
        row["author"] for row in db.all("select author from ratings order by author nulls first")
    ]
    assert [{"kept": person}] == db.all("select kept from merges")
    assert ["told on 2026-01-15"] == [
        row["note"] for row in privacy.export(db, Vault(db), other)["visits"]
    ]


def test_erasing_again_says_the_same(db: Database) -> None:
    """A second erasure finds the tombstone and answers what the first one did."""
    person = uuid4()
    _visit(db, person, "2026-01-15")
    assert _erase(db, person) == _erase(db, person)
    assert _answers(db, person).erased == _answers(db, person).erased


def test_what_the_law_holds_stays_until_it_may_go(db: Database) -> None:
    """Held rows and the key to them stay and are named; when their time comes a job erases them
    and tells auth."""
    person = uuid4()
    _visit(db, person, "1901-01-15", at="1901-01-15T00:00:00Z")
    _visit(db, person, "2026-01-15", at="2026-01-15T00:00:00Z")
    answer = _answers(db, person)
    assert [("visits", _LAW, 2056)] == [(h.what, h.reason, h.until.year) for h in answer.held]
    assert (1, 1) == (answer.erased["visits"], answer.run)
    assert ["2026-01-15"] == _visits(db, person)
    assert {} == privacy.remains(db, person)
    assert 0 == privacy.release("visits", db)

    db.all("update visits set visited_at = '1926-01-15' where person_id = :p", p=person)
    db.all("update erased_people set held_until = '2026-01-15' where person_id = :p", p=person)
    assert {"visits": 1} == privacy.remains(db, person)
    assert 1 == privacy.release("visits", db)
    assert [] == _visits(db, person)
    released = _answers(db, person)
    assert [] == released.held
    assert (2, 1, 2) == (released.erased["visits"], released.erased["subject_keys"], released.run)
    assert 0 == privacy.release("visits", db)


@pytest.mark.parametrize(
    "kept",
    [
        Personal("facts", erase="keep", sealed={"said": "said"}),
        Personal("facts", erase="keep", show=lambda tx, person: []),
        Personal(
            "facts",
            erase="anonymise",
            change={"author": "null"},
            sealed={"said": "said"},
        ),
    ],
    ids=["kept", "kept and shown", "anonymised in part"],
)
def test_what_is_held_must_not_keep_the_rest_readable(kept: Personal) -> None:
    """The key stays with held rows: a service that leaves other rows to it cannot be declared,
    whichever comes first; without a hold it can."""
    holding = Personal("visits", sealed={"note": "note"}, hold=Hold("visit", since="visited_at"))
    for tables in ((holding, kept), (kept, holding)):
        with pytest.raises(ValueError, match=r"visits holds rows.* in facts would stay readable"):
            Privacy(tables=tables)
    assert (kept,) == Privacy(tables=(kept,)).tables


@pytest.mark.parametrize(
    "harmless",
    [
        Personal("facts", erase="keep", plain=("day",)),
        Personal("facts", sealed={"said": "said"}),
        Personal("facts", erase="anonymise", change={"said": "null"}, sealed={"said": "said"}),
    ],
    ids=["kept in the clear", "deleted", "anonymised"],
)
def test_a_hold_beside_what_needs_no_key_is_fine(harmless: Personal) -> None:
    """What an erasure leaves nothing sealed of may stand beside rows that are held."""
    holding = Personal("visits", sealed={"note": "note"}, hold=Hold("visit", since="visited_at"))
    assert (holding, harmless) == Privacy(tables=(holding, harmless)).tables


def test_what_lies_outside_is_erased_before_the_commit(db: Database) -> None:
    """It counts in the answer; when it cannot be erased, nothing counts as erased."""
    person = uuid4()
    _visit(db, person, "2026-01-15")
    gone: list[UUID] = []

    def away(tx: Tx, who: UUID) -> dict[str, int]:
        raise OSError("the store is away")

    def store(tx: Tx, who: UUID) -> dict[str, int]:
        assert [] == tx.all("select from visits where person_id = :p", p=who)
        gone.append(who)
        return {"images": 2}

    with pytest.raises(OSError, match="away"):
        _erase(db, person, Privacy(tables=privacy.tables, outside=away))
    assert ["2026-01-15"] == _visits(db, person)
    assert [] == db.all("select from erased_people")
    erased, _ = _erase(db, person, Privacy(tables=privacy.tables, outside=store))
    assert (2, [person]) == (erased["images"], gone)


def test_what_the_kit_keeps_goes_too(db: Database) -> None:
    """Dead letters that name the person and stored answers are deleted, a saga ends empty."""
    person, other = uuid4(), uuid4()
    for who in (person, other):
        db.all(
            "insert into dead_letters (id, event_type, refs, reason, attempts)"
            " values (:id, 'VISITED', array[:p::uuid], 'broken', 1)",
            id=str(uuid4()),
            p=who,
        )
        db.all(
            "insert into idempotency_keys (key, person_id, answer) values (:key, :p, '')",
            key=who.bytes,
            p=who,
        )
    erased, _ = _erase(db, person)
    assert (1, 1, 0) == (erased["dead_letters"], erased["idempotency_keys"], erased["sagas"])
    assert [{"refs": [other]}] == db.all("select refs from dead_letters")
    assert [{"person_id": other}] == db.all("select person_id from idempotency_keys")
