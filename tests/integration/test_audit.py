"""The audit log: a row for every person whose data is shown or changed, by whom and what for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import audit, log
from shared.db import Database, Row
from shared.errors import Invalid
from shared.identity import Caller
from shared.wire import SqlError, Statement

_ROWS = (
    "select actor, service, roles, person_id, action, what, purpose, correlation_id"
    " from audit_log order by id"
)


@pytest.fixture
def db(kit_db: Callable[[], str]) -> Database:
    return Database(kit_db())


def _entry(actor: UUID | None, person: UUID, **more: Any) -> Row:
    return {
        "actor": actor,
        "service": None,
        "roles": [],
        "person_id": person,
        "action": "read",
        "what": "profile",
        "purpose": "HOPERAT",
        "correlation_id": None,
    } | more


def _show(db: Database, *people: UUID) -> list[Row]:
    select = "select unnest(:people::uuid[]) as person_id"
    sql = audit.audited(select, action="read", what="profile")
    return db.all(sql + " order by person_id", people=list(people), **audit.who())


def test_a_read_and_its_rows_are_one_statement(db: Database) -> None:
    """Every row shown leaves one audit row, for the person it is about; none leaves none."""
    dentist, people = uuid4(), sorted([uuid4(), uuid4()])
    caller = Caller("person", dentist, frozenset({"DENTIST", "ADMIN"}))
    with log.context(correlation="c-1"), audit.acting(caller):
        assert [{"person_id": person} for person in people] == _show(db, *reversed(people))
        assert [] == _show(db)
    more = {"roles": ["ADMIN", "DENTIST"], "purpose": "TREAT", "correlation_id": "c-1"}
    expected = [_entry(dentist, person, **more) for person in reversed(people)]
    assert expected == db.all(_ROWS)


def test_a_statement_that_fails_leaves_no_row(db: Database) -> None:
    """Nothing was shown, so nothing is in the log."""
    sql = audit.audited("select :p::uuid as person_id, 1 / :n", action="read", what="profile")
    with pytest.raises(SqlError):
        db.all(sql, p=uuid4(), n=0, **audit.who())
    assert [] == db.all(_ROWS)


def test_the_purpose_depends_on_whose_data_it_is(db: Database) -> None:
    """One's own data is asked for by oneself, other people's for treatment or operation, unless
    the caller says what for."""
    me, other = uuid4(), uuid4()
    with audit.acting(Caller("person", me, frozenset({"RECEPTIONIST"}))):
        _show(db, me)
        _show(db, other)
    with audit.acting(Caller("person", me), purpose="PUBHLTH"):
        _show(db, me)
    assert ["PATRQT", "HOPERAT", "PUBHLTH"] == [row["purpose"] for row in db.all(_ROWS)]


def test_a_service_names_itself_and_for_whom_it_calls(db: Database) -> None:
    """A service's row has the person it calls for, a person's never that of another."""
    person, other = uuid4(), uuid4()
    with audit.acting(Caller("service", service="notification"), on_behalf_of=person):
        _show(db, person)
    with audit.acting_as_service("patient"):
        _show(db, person)
    with audit.acting(Caller("person", person), on_behalf_of=other):
        _show(db, other)
    assert [
        _entry(person, person, service="notification", purpose="PATRQT"),
        _entry(None, person, service="patient"),
        _entry(person, other),
    ] == db.all(_ROWS)


def test_a_write_is_in_the_log_if_and_only_if_it_commits(db: Database) -> None:
    """The row is part of the transaction that makes the change."""
    person = uuid4()

    def fails(tx: Any) -> None:
        audit.record(tx, person, "write", "profile")
        raise Invalid

    with pytest.raises(Invalid):
        db.transaction(fails)
    with audit.acting(Caller("person", person, frozenset({"ADMIN"}))):
        db.transaction(lambda tx: audit.record(tx, person, "write", "profile"))
    own = {"action": "write", "roles": ["ADMIN"], "purpose": "PATRQT"}
    assert [_entry(person, person, **own)] == db.all(_ROWS)


def test_nobody_acts_outside_a_request_or_message(db: Database) -> None:
    """A block's end is the end of acting, also when it fails; a tool is nobody."""
    with pytest.raises(Invalid), audit.acting(Caller("person", uuid4())):
        raise Invalid
    person = uuid4()
    _show(db, person)
    assert [_entry(None, person)] == db.all(_ROWS)


@pytest.mark.parametrize("code", ["treat", "MARKETING", "", "TREAT,HLEGAL"])
def test_an_unknown_purpose_is_refused(code: str) -> None:
    """A purpose is one of the codes, or not given."""
    with pytest.raises(Invalid) as refused:
        audit.acting_in({"HTTP_X_PURPOSE_OF_USE": code}, Caller("person", uuid4()))
    assert "X-Purpose-Of-Use" == refused.value.extra["errors"][0]["header"]


def test_the_headers_say_what_for_and_for_whom(db: Database) -> None:
    """The purpose counts from everybody, the person for whom a call is made only from services."""
    person, other = uuid4(), uuid4()
    environ = {"HTTP_X_PURPOSE_OF_USE": "HLEGAL", "HTTP_X_ON_BEHALF_OF": str(other)}
    for caller in (Caller("service", service="auth"), Caller("person", person)):
        with audit.acting_in(environ, caller):
            _show(db, person)
    assert [
        _entry(other, person, service="auth", purpose="HLEGAL"),
        _entry(person, person, purpose="HLEGAL"),
    ] == db.all(_ROWS)
    with pytest.raises(Invalid):
        audit.acting_in({"HTTP_X_ON_BEHALF_OF": "me"}, Caller("service", service="auth"))


def test_what_is_only_looked_up_is_not_in_the_log(db: Database) -> None:
    """A row fetched to know whether there are more, or whether it may be shown, leaves no trace."""
    people = sorted([uuid4(), uuid4()])
    select = "select unnest(:people::uuid[]) as person_id, unnest(:seen::boolean[]) as seen"
    sql = audit.audited(select, action="search", what="profile", where="seen")
    assert 2 == len(db.all(sql, people=people, seen=[True, False], **audit.who()))
    assert [_entry(None, people[0], action="search")] == db.all(_ROWS)


@pytest.mark.parametrize(
    "sql",
    [
        "update audit_log set actor = null",
        "delete from audit_log",
        "truncate audit_log",
        "alter table audit_log disable trigger all",
        "update audit_seals set entries = 0",
        "delete from audit_seals",
    ],
)
def test_the_service_cannot_change_what_is_in_the_log(db: Database, sql: str) -> None:
    """The runtime role adds and reads rows; PostgreSQL refuses it anything else."""
    _show(db, uuid4())
    with pytest.raises(SqlError) as refused:
        db.pipeline(Statement(sql))
    assert "42501" == refused.value.code
    assert 1 == len(db.all(_ROWS))
