"""What happens to an account while its person logs in, and other things that meet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import sleep
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from functions.auth import domain, sagas
from functions.auth.domain import Grant
from functions.auth.service import keys, sessions, staff
from functions.auth.store import sessions as store
from functions.auth.store import users
from shared.clocks import set_clock
from shared.errors import Conflict, Problem, Unauthenticated
from shared.identity import Caller, revoke
from shared.testing import FrozenClock
from tests.platform import PASSWORD, Platform

ROOT = Caller("person", uuid4(), frozenset({"ADMIN"}), {"*": frozenset({"ADMIN"})}, uuid4())
NEW = "quiet-lamp-walks-home"
REAL = Callable[..., Any]


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    made = Platform(service_db)
    made.admin()
    return made


def _make(email: str, role: domain.Role = "DENTIST") -> UUID:
    person, _ = staff.create_staff(
        email=email,
        first_name="Ion",
        last_name="Pop",
        language="en",
        grants=[Grant(role)],
        password=PASSWORD,
        by=ROOT,
    )
    return person


def _once(real: REAL, first: Callable[[], Any]) -> REAL:
    """``real``, but ``first`` happens before the first call."""
    waiting = [first]

    def call(*args: Any, **more: Any) -> Any:
        if waiting:
            waiting.pop()()
        return real(*args, **more)

    return call


def _roles(token: str) -> Any:
    return jwt.decode(token, options={"verify_signature": False})["clinics"]


def _version(platform: Platform, person: UUID) -> int:
    row = users.get(platform.databases["auth"], person)
    return int((row or {})["version"])


def test_an_old_password_lets_nobody_in_after_the_change(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log-in that was checked against the old password ends when the new one is there first."""
    person = _make("race1@example.com")

    def change() -> None:
        me = Caller("person", person, session=uuid4())
        sessions.change_password(me, PASSWORD, NEW)

    monkeypatch.setattr(sessions, "signing_key", _once(keys.signing_key, change))
    with pytest.raises(Unauthenticated):
        sessions.login("race1@example.com", PASSWORD, "192.0.2.1")
    assert sessions.login("race1@example.com", NEW, "192.0.2.1")


def test_a_login_gives_the_roles_of_its_moment(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles that are replaced while the password is being checked are not in the token."""
    person = _make("race2@example.com")

    def replace() -> None:
        version = _version(platform, person)
        staff.replace_roles(person, [Grant("RECEPTIONIST")], version=version, by=ROOT)

    monkeypatch.setattr(sessions, "signing_key", _once(keys.signing_key, replace))
    pair = sessions.login("race2@example.com", PASSWORD, "192.0.2.2")
    assert {"*": ["RECEPTIONIST"]} == _roles(pair.access)
    assert 200 == platform.call("GET", "/api/auth/me", token=pair.access).status_code


def test_deactivation_ends_a_session_that_begins_meanwhile(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deactivation that waits for a log-in to commit ends that session, too."""
    person = _make("race3@example.com")
    closing = Thread(target=staff.deactivate, args=(person, ROOT))

    def close() -> None:
        closing.start()
        sleep(0.3)  # it waits for the account's row now

    monkeypatch.setattr(store, "forget_attempts", _once(store.forget_attempts, close))
    pair = sessions.login("race3@example.com", PASSWORD, "192.0.2.3")
    closing.join()
    staff.reactivate(person, ROOT)
    with pytest.raises(Unauthenticated):
        sessions.refresh(pair.refresh)


def test_a_refresh_beside_new_roles_does_not_keep_the_old_ones(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh after the revocation's moment, but before its commit, waits for the new roles."""
    person = _make("race4@example.com")
    pair = sessions.login("race4@example.com", PASSWORD, "192.0.2.4")
    got: list[sessions.Pair] = []
    asking = Thread(target=lambda: got.append(sessions.refresh(pair.refresh)))

    def revoke_slowly(*args: Any) -> None:
        revoke(*args)
        asking.start()
        asking.join(0.4)

    monkeypatch.setattr(staff, "revoke", revoke_slowly)
    version = _version(platform, person)
    staff.replace_roles(person, [Grant("RECEPTIONIST")], version=version, by=ROOT)
    asking.join()
    assert [{"*": ["RECEPTIONIST"]}] == [_roles(each.access) for each in got]


def test_one_active_admin_is_left_however_raced(platform: Platform) -> None:
    """Of ADMINs who deactivate or demote each other at once one stays."""
    ids = [_make(f"boss{n}@example.com", "ADMIN") for n in range(3)]
    db = platform.databases["auth"]
    everybody = {*ids, *db.transaction(users.active_admins)}

    def remove(person: UUID) -> str:
        try:
            if person == ids[0]:
                version = _version(platform, person)
                staff.replace_roles(person, [Grant("DENTIST")], version=version, by=ROOT)
            else:
                staff.deactivate(person, ROOT)
        except Problem as problem:
            return str(problem.to_dict()["type"]).rpartition(":")[2]
        return "done"

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(remove, everybody))
    assert ["done"] * (len(everybody) - 1) + ["last-admin"] == sorted(told)
    assert 1 == len(db.transaction(users.active_admins))


def test_a_registration_under_way_is_not_deactivated(platform: Platform) -> None:
    """An account cannot become usable before its profile exists by way of a deactivation."""
    profile = {"first_name": "Ana", "last_name": "Pop", "email": "race5@example.com"}
    patient, registration = sagas.register({**profile, "language": "en"}, PASSWORD)
    with pytest.raises(Conflict):
        staff.deactivate(patient, ROOT)
    platform.drain()
    found = sagas.show(registration)
    assert found is not None
    assert "ACTIVE" == found.status
    staff.deactivate(patient, ROOT)


def test_a_key_stays_published_as_long_as_its_invitations(platform: Platform) -> None:
    """The purge keeps a key that signed an invitation until that has expired."""
    keys.signing_key()
    clock = FrozenClock(datetime.now(UTC))
    old = set_clock(clock)
    try:
        clock.advance(domain.KEY_LIFE + timedelta(days=1))
        assert 1 == keys.rotate()
        clock.advance(domain.KEY_LEAD + domain.INVITATION_LIFE - timedelta(hours=1))
        keys.purge()
        assert 2 == len(keys.verification_keys())
        clock.advance(timedelta(hours=2))
        keys.purge()
        assert 1 == len(keys.verification_keys())
    finally:
        set_clock(old)
        keys._cached = None
