"""What a law holds of somebody who was erased is restricted: hidden from almost everybody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest

from infra.local.postgres import Cluster
from shared import audit
from shared.audit import Acting, acting, acting_as_service
from shared.config import config
from shared.db import Database, Tx
from shared.event_export import exported
from shared.eventstore import EventStore, Recorded, Snapshot, Stream
from shared.identity import Caller
from shared.privacy import ExportFile, Hold, Personal, PersonErased, Privacy
from tests.erasure_stack import as_superuser
from tests.eventstore_stack import Moved, Registered, World, world

_TABLES = """
create table visits (person_id uuid not null, number integer not null);
grant all on visits to public
"""
_LIFE = {"kept": {"days": 36_500, "reason": "a hundred years"}}


class Story(NamedTuple):
    """A fold's state."""

    names: int = 0
    towns: int = 0


def _told(story: Story, event: Recorded) -> Story:
    if event.fact is None:
        return story
    named = event.type == Registered.type_name()
    return Story(story.names + named, story.towns + (not named))


class Clinic(NamedTuple):
    """Somebody who was erased, and whom the law holds; and somebody who lives on."""

    world: World
    privacy: Privacy
    gone: Stream
    alive: Stream

    @property
    def db(self) -> Database:
        return self.world.db

    @property
    def store(self) -> EventStore:
        return self.world.store

    def visits(self) -> list[int]:
        """What a route that lists all visits shows."""
        sql = audit.audited("select * from visits", action="read", what="visits")
        rows = self.db.all(f"{sql} order by number", **audit.who())
        return [row["number"] for row in rows]

    def page(self, after: int, limit: int) -> list[int]:
        """A page of them, as lists are read."""
        select = (
            f"select * from visits where number > :after and {audit.visible('person_id')}"
            " order by number limit :limit"
        )
        sql = audit.audited(select, action="read", what="visits")
        rows = self.db.all(f"{sql} order by number", after=after, limit=limit, **audit.who())
        return [row["number"] for row in rows]

    def told(self, stream: Stream) -> Story:
        """What a route that folds a history makes of it."""
        return self.store.load(self.db, stream, Story(), _told)[0]


@pytest.fixture(autouse=True)
def _rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RETENTION", json.dumps(_LIFE))
    config.cache_clear()
    yield
    monkeypatch.undo()
    config.cache_clear()


@pytest.fixture
def clinic(kit_db: Callable[[], str], cluster: Cluster) -> Clinic:
    made = world(kit_db())
    owner = as_superuser(cluster, made.db)
    for sql in _TABLES.split(";"):
        owner.all(sql)
    owner.close()
    files = [ExportFile("image.png", "https://example.com/image", "00", 1)]
    privacy = Privacy(
        tables=(
            Personal("visits", plain=("number",), hold=Hold("kept", since="now()")),
            Personal(
                "events",
                erase="keep",
                show=exported(made.store),
                hold=Hold("kept", since="recorded_at"),
            ),
        ),
        files=lambda tx, person: files,
    )
    gone, alive = made.stream(), made.stream()
    for stream in (gone, alive):
        made.append(stream, Registered(name="Ana Pop", clinic=uuid4()), Moved(town="Cluj"))
    for number in range(8):
        person = (gone if number % 2 else alive).person
        made.db.all("insert into visits values (:p, :n)", p=person, n=number)

    def erase(tx: Tx) -> list[str]:
        assert gone.person is not None
        return [item.what for item in privacy.erase(tx, gone.person, uuid4()).held]

    held = made.db.transaction(erase, isolation="READ COMMITTED")
    assert ["visits", "events"] == held
    return Clinic(made, privacy, gone, alive)


def _staff(*places: str, role: str = "ADMIN") -> Caller:
    return Caller(
        "person", uuid4(), frozenset({role}), {place: frozenset({role}) for place in places}
    )


_HIDDEN: dict[str, Callable[[UUID], Acting]] = {
    "the person": lambda person: acting(Caller("person", person), purpose="PATRQT"),
    "a dentist": lambda _: acting(_staff("*", role="DENTIST"), purpose="TREAT"),
    "an admin of a clinic": lambda _: acting(_staff(str(uuid4())), purpose="HLEGAL"),
    "an admin without a purpose": lambda _: acting(_staff("*")),
    "another service": lambda _: acting(Caller("service", service="patient"), purpose="HLEGAL"),
    "auth without a purpose": lambda _: acting(Caller("service", service="auth")),
    "a job": lambda _: acting_as_service("visits"),
}
_SHOWN: dict[str, Callable[[UUID], Acting]] = {
    "an admin with a purpose": lambda _: acting(_staff("*"), purpose="HLEGAL"),
    "auth for such an admin": lambda _: acting(
        Caller("service", service="auth"), purpose="HLEGAL", on_behalf_of=uuid4()
    ),
}


@pytest.mark.parametrize("who", _HIDDEN)
def test_it_is_hidden(who: str, clinic: Clinic) -> None:
    """From rows, pages, histories and exports alike, as if it were gone; the others' stay."""
    person = clinic.gone.id
    with _HIDDEN[who](person):
        assert [0, 2, 4, 6] == clinic.visits()
        assert [0, 2, 4] == clinic.page(-1, 3)
        assert Story() == clinic.told(clinic.gone)
        assert Story(1, 1) == clinic.told(clinic.alive)
        facts = clinic.store.history(clinic.db, clinic.gone)
        assert [(None, True), (None, True)] == [(event.fact, event.erased) for event in facts]
        nothing: dict[str, list[Any]] = {"visits": [], "events": []}
        assert nothing == clinic.privacy.export(clinic.db, clinic.world.vault, person)
        assert [] == clinic.privacy.originals(clinic.db, person)
    rows = clinic.db.all("select from audit_log where person_id = :p", p=person)
    assert [] == rows


@pytest.mark.parametrize("who", _SHOWN)
def test_an_administrator_who_says_why_sees_it(who: str, clinic: Clinic) -> None:
    """An ADMIN of the group with a stated purpose sees all of it, on record with the purpose."""
    person = clinic.gone.id
    with _SHOWN[who](person):
        assert list(range(8)) == clinic.visits()
        assert [0, 1, 2] == clinic.page(-1, 3)
        assert Story(1, 1) == clinic.told(clinic.gone)
        shown = clinic.privacy.export(clinic.db, clinic.world.vault, person)
        assert (4, 2) == (len(shown["visits"]), len(shown["events"]))
        assert ["image.png"] == [f.name for f in clinic.privacy.originals(clinic.db, person)]
    rows = clinic.db.all("select purpose from audit_log where person_id = :p", p=person)
    assert {"HLEGAL"} == {row["purpose"] for row in rows}


def test_a_snapshot_shows_no_more_than_its_facts(clinic: Clinic) -> None:
    """A history that was read before the erasure is hidden in its snapshot, too, and shown from it
    to whoever may see it."""
    snapshot = Snapshot(Story, every=1)
    person = uuid4()
    stream = Stream("person", person, person)
    clinic.world.append(stream, Registered(name="Ion Pop", clinic=uuid4()), Moved(town="Iasi"))
    db, store = clinic.db, clinic.store
    db.transaction(lambda tx: store.load(tx, stream, Story(), _told, snapshot=snapshot))
    assert 1 == len(db.all("select from snapshots where id = :id", id=person))
    db.transaction(lambda tx: clinic.privacy.erase(tx, person, uuid4()), isolation="READ COMMITTED")
    with acting(_staff("*", role="DENTIST"), purpose="TREAT"):
        assert Story() == store.load(db, stream, Story(), _told, snapshot=snapshot)[0]
    with acting(_staff("*"), purpose="HLEGAL"):
        assert Story(1, 1) == store.load(db, stream, Story(), _told, snapshot=snapshot)[0]


def test_nobody_changes_it(clinic: Clinic) -> None:
    """Not even who may see it adds to the history of somebody who was erased."""
    with acting(_staff("*"), purpose="HLEGAL"), pytest.raises(PersonErased):
        clinic.world.append(clinic.gone, Moved(town="Arad"), expected=2)


def test_the_look_for_tombstones_is_one_into_an_index(clinic: Clinic) -> None:
    """However many were erased: no list of visits reads all tombstones, and none is sorted anew."""
    clinic.db.all(
        "insert into erased_people (person_id, erasure_id, erased, held)"
        " select gen_random_uuid(), gen_random_uuid(), '{}', '[]' from generate_series(1, 20000)"
    )
    select = "select * from visits"
    sql = audit.audited(select, action="read", what="visits")
    with acting(_staff("*", role="DENTIST")):
        plan = "\n".join(
            str(row["QUERY PLAN"])
            for row in clinic.db.all(f"explain (costs off) {sql}", **audit.who())
        )
    assert "erased_people_pkey" in plan, plan
    assert "Seq Scan on erased_people" not in plan, plan
    assert "hashed" not in plan, plan
