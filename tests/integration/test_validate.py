"""What has to agree in and between services: each way in which it may not is planted and found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest

from functions.auth.service.validation import Here, Remote, compare, validate
from infra import manifest
from infra import validate as tool
from infra.local.postgres import Cluster
from shared import telemetry
from shared.db import Database
from shared.runtime import database
from shared.validation import Finding
from tests.erasure_stack import EMAIL, as_superuser, enter, erase
from tests.platform import Platform


class World(NamedTuple):
    """Services with a patient, somebody who was erased and an administrator."""

    platform: Platform
    owners: dict[str, Database]
    patient: UUID
    erased: UUID

    def plant(self, service: str, sql: str, **params: object) -> None:
        """Change what nobody may."""
        self.owners[service].all(sql, **params)

    def found(self, wait: Callable[[], None] = lambda: None) -> set[tuple[str, str, int]]:
        """Check, service, how many: of all that is violated."""
        findings = tool.validated(list(self.platform.services.values()), Remote(), wait)
        return {(f.check, f.service, f.violations) for f in findings if f.violations}


@pytest.fixture(scope="module")
def shared_world(service_db: Callable[[str], str], cluster: Cluster) -> Iterator[World]:
    platform = Platform(service_db)
    patient, _ = enter(platform)
    gone, token = enter(platform, "gone@example.com", national_id=None)
    platform.admin()
    erase(platform, gone, token)
    platform.drain()
    platform.services["auth"].jobs["project"].run()
    owners = {name: as_superuser(cluster, db) for name, db in platform.databases.items()}
    yield World(platform, owners, UUID(patient), UUID(gone))
    for owner in owners.values():
        owner.close()


@pytest.fixture
def world(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Nothing is violated before a test, which mends what it breaks."""
    services = list(shared_world.platform.services.values())
    monkeypatch.setattr(manifest, "load", lambda: services)
    for name, db in shared_world.platform.databases.items():
        assert database(name) is db
    assert set() == shared_world.found()
    return shared_world


_PREFERENCE = "insert into preferences (person_id, muted, version) values (:p, '{}', 1)"
_NO_PREFERENCE = "delete from preferences where person_id = :p"


def test_somebody_whom_nobody_else_knows(world: World) -> None:
    """A row about an id that is no patient's and no account's."""
    stranger = uuid4()
    world.plant("notification", _PREFERENCE, p=stranger)
    assert {("people", "notification", 1)} == world.found()
    world.plant("notification", _NO_PREFERENCE, p=stranger)


def test_what_is_under_way_does_not_count(world: World) -> None:
    """What agrees after a while was only on its way; what does not is looked for again."""
    stranger = uuid4()
    world.plant("notification", _PREFERENCE, p=stranger)
    assert set() == world.found(lambda: world.plant("notification", _NO_PREFERENCE, p=stranger))
    later = lambda: world.plant("notification", _PREFERENCE, p=stranger)  # noqa: E731
    assert set() == world.found(later)
    world.plant("notification", _NO_PREFERENCE, p=stranger)


def test_somebody_who_was_erased_and_is_still_there(world: World) -> None:
    """A row about somebody erased, unless a law holds it; it makes no difference where."""
    world.plant("notification", _PREFERENCE, p=world.erased)
    assert {("people", "notification", 1)} == world.found()
    held = "update erased_people set held_until = {} where person_id = :p"
    world.plant("notification", held.format("now() + interval '1 day'"), p=world.erased)
    assert set() == world.found()
    world.plant("notification", held.format("null"), p=world.erased)
    world.plant("notification", _NO_PREFERENCE, p=world.erased)


def test_an_erasure_that_auth_knows_nothing_of(world: World) -> None:
    """A tombstone beside rows, and none in auth."""
    world.plant(
        "patient",
        "insert into erased_people (person_id, erasure_id, erased, held)"
        " values (:p, :p, '{}', '[]')",
        p=world.patient,
    )
    assert {("people", "patient", 1)} == world.found()
    world.plant("patient", "delete from erased_people where person_id = :p", p=world.patient)


def test_an_account_without_its_patient(world: World) -> None:
    """A patient's account, and all that others keep about the person, hang in the air."""
    world.plant("patient", "create table aside as select * from patients")
    world.plant("patient", "alter table patients disable trigger all")
    world.plant("patient", "delete from patients where patient_id = :p", p=world.patient)
    found = world.found()
    world.plant("patient", "insert into patients select * from aside")
    world.plant("patient", "drop table aside")
    world.plant("patient", "alter table patients enable trigger all")
    assert {("people", "auth", 1), ("people", "patient", 1)} <= found
    assert {"people"} == {check for check, _, _ in found}


def test_an_address_that_is_not_auths(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The replica differs: the table names the person by the id, and no address."""
    other = "somebody.else@example.com"
    sql = "update patients set email = :email where patient_id = :p"
    world.plant("patient", sql, email=other, p=world.patient)
    assert {("emails", "patient", 1)} == world.found()
    capsys.readouterr()
    assert 1 == tool.main(["--service", "auth", "--grace", "0"])
    shown = capsys.readouterr().out
    assert str(world.patient) in shown
    assert not any(address in shown for address in (EMAIL, other))
    world.plant("patient", sql, email=EMAIL, p=world.patient)


def test_a_read_model_that_is_not_its_events(world: World) -> None:
    """A projection's row was changed by hand."""
    sql = "update account_history_a set status = :status where person_id = :p and version = 1"
    world.plant("auth", sql, status="DEACTIVATED", p=world.patient)
    assert {("projections", "auth", 1)} == world.found()
    world.plant("auth", sql, status="PENDING", p=world.patient)


@pytest.mark.parametrize("check", ["outbox", "inbox", "sagas"])
def test_what_waits_for_too_long(check: str, world: World) -> None:
    """Messages that are not published, messages that were given up, sagas that go no further."""
    plants = {
        "outbox": (
            "insert into outbox (topic, key, envelope, fence, lease_until)"
            " values ('patient', 'k', :e, 0, now())",
            "delete from outbox",
        ),
        "inbox": (
            "insert into dead_letters (id, event_type, refs, reason, attempts)"
            " values ('late', 'VISITED', '{}', 'broken', 1)",
            "delete from dead_letters",
        ),
        "sagas": (
            "insert into sagas (id, name, definition, subject, status, steps, states, round,"
            " attempts, since, data, created_at, updated_at) values (gen_random_uuid(), 'visit',"
            " '', gen_random_uuid(), 'PARKED', '{}', '{}', 0, 0, now(), '\\x00', now(), now())",
            "delete from sagas where name = 'visit'",
        ),
    }
    made, mended = plants[check]
    params = {"e": json.dumps({"timestamp": "2026-01-15T10:00:00Z"})} if ":e" in made else {}
    world.plant("patient", made, **params)
    assert {(check, "patient", 1)} == world.found()
    world.plant("patient", mended)


def test_the_table_and_the_exit_code(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each check and service, what is wrong first; 0 if nothing is, 1 if something is,
    2 for what does not exist."""
    capsys.readouterr()
    assert 0 == tool.main(["--service", "patient"])
    lines = capsys.readouterr().out.splitlines()
    assert ["check", "service", "violations"] == lines[0].split()
    assert [["inbox", "patient", "0"], ["outbox", "patient", "0"], ["sagas", "patient", "0"]] == [
        line.split() for line in lines[1:]
    ]
    assert 2 == tool.main(["--service", "nobody"])
    shown = tool.table([Finding("outbox", "auth", 0), Finding("people", "xray", 12, "some: one")])
    assert ["people  xray             12  some: one", "outbox  auth              0"] == (
        shown.splitlines()[1:]
    )


def test_the_schedule_tells(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs find the same, count it for the dashboards and say it in the log."""
    stranger = uuid4()
    world.plant("notification", _PREFERENCE, p=stranger)
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("functions.auth.service.validation.GRACE_S", 0.0)
        before = _violations()
        assert 1 == validate()
        assert 1 == _violations() - before
    assert "validation_violated" in capsys.readouterr().out
    assert 0 == world.platform.services["patient"].jobs["validate"].run()
    world.plant("notification", _NO_PREFERENCE, p=stranger)


def test_services_and_their_databases_say_the_same(world: World) -> None:
    """Whether services are asked or their databases are read makes no difference."""
    stranger = uuid4()
    world.plant("notification", _PREFERENCE, p=stranger)
    here = Here(database, lambda name: world.platform.services[name].privacy)
    assert compare(Remote(), lambda: None) == compare(here, lambda: None)
    world.plant("notification", _NO_PREFERENCE, p=stranger)


def test_a_page_follows_the_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many people there are, each is compared: pages end where they are full."""
    people = [uuid4() for _ in range(7)]
    monkeypatch.setattr("functions.auth.service.validation.PAGE", 3)
    for function in ("people", "addresses"):
        whole = getattr(Here, function)
        monkeypatch.setattr(
            Here, function, lambda here, name, after, whole=whole: whole(here, name, after)[:3]
        )
    for stranger in people:
        world.plant("notification", _PREFERENCE, p=stranger)
    here = Here(database, lambda name: world.platform.services[name].privacy)
    assert {("notification", 7)} == {
        (f.service, f.violations) for f in compare(here, lambda: None) if f.violations
    }
    for stranger in people:
        world.plant("notification", _NO_PREFERENCE, p=stranger)


def _violations() -> int:
    series = telemetry.figures("unknown").get("dentalhelp.validation.violations", {})
    return sum(count for count in series.values() if isinstance(count, int))
