"""Registrations and e-mail changes end right although messages arrive twice and in any order."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from functions.patient.store import arrivals
from infra.chaos.ledgers import Ledgers
from infra.people import patient
from shared.db import Tx
from tests.platform import PASSWORD, Platform, person
from tests.unruly_bus import UnrulyBus

_PEOPLE, _TAKEN, _CHANGES = 12, 3, 8


class _Watch:
    """Looks at the replica after every delivery: no version may ever fall."""

    def __init__(self, ledgers: Ledgers) -> None:
        self._ledgers = ledgers
        self._newest: dict[Any, int] = {}
        self.backwards: list[Any] = []

    def look(self) -> None:
        rows = self._ledgers.all("patient", "select patient_id, email_version from patients")
        for row in rows:
            who, version = row["patient_id"], row["email_version"]
            if version < self._newest.get(who, 0):
                self.backwards.append((who, version))
            self._newest[who] = version


class _WatchedBus(UnrulyBus):
    """Lets somebody look after every delivery."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.look: Callable[[], None] = lambda: None

    def subscribe(self, subscription: Any, receiver: Callable[[bytes], int]) -> None:
        """Deliver to ``receiver``, then look."""

        def watched(body: bytes) -> int:
            status = receiver(body)
            self.look()
            return status

        super().subscribe(subscription, watched)


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(s, marks=pytest.mark.long) for s in range(2, 22))]
)
def test_people_and_addresses_converge(service_db: Callable[[str], str], seed: int) -> None:
    """Under 20 % repeated and 20 % delayed messages every registration ends whole or not at all,
    and the address in patient only ever moves forward, to the one in auth."""
    bus, chance = _WatchedBus(seed), random.Random(seed)
    platform = Platform(service_db, bus)
    ledgers = Ledgers(platform.databases)
    watch = _Watch(ledgers)
    bus.look = watch.look
    reception = platform.staff("desk@example.com", {"role": "RECEPTIONIST"})
    people = {}
    for number in range(_PEOPLE):
        email = f"person{number}@example.com"
        made = platform.register(email, national_id=patient(number)["national_id"])
        people[made["patient_id"]] = email
    refused = _take_numbers(platform, reception, list(people)[:_TAKEN])
    _change_addresses(platform, people, chance)
    ledgers.settle(0, mails=False)  # nobody takes them here
    assert [] == ledgers.faults()
    assert [] == watch.backwards
    kept = ledgers.all("patient", "select patient_id, email from patients")
    assert people == {str(row["patient_id"]): row["email"] for row in kept}
    for registration in refused:
        status = platform.call("GET", f"/api/auth/registrations/{registration}").json or {}
        assert "FAILED" == status["status"]
    assert bus.repeated > 20
    assert bus.delayed > 20
    _numbers_are_known(platform)
    ledgers.close()


def test_a_careless_replica_is_noticed(
    service_db: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a replica that takes every message as it comes is seen going backwards."""

    def careless(tx: Tx, patient_id: UUID, email: str, email_version: int, since: Any) -> None:
        tx.run(
            "update patients set email = :email, email_version = :version where patient_id = :id",
            email=email,
            version=email_version,
            id=patient_id,
        )

    monkeypatch.setattr(arrivals, "set_email", careless)
    bus = _WatchedBus(seed=0)
    platform = Platform(service_db, bus)
    ledgers = Ledgers(platform.databases)
    watch = _Watch(ledgers)
    bus.look = watch.look
    emails = [f"person{number}@example.com" for number in range(2)]
    people = {platform.register(email)["patient_id"]: email for email in emails}
    _change_addresses(platform, people, random.Random(0))
    assert watch.backwards
    ledgers.close()


def _change_addresses(platform: Platform, people: dict[str, str], chance: random.Random) -> None:
    """Everybody in ``people`` (id -> address) moves some times; afterwards all is delivered."""
    tokens = {who: platform.token(email) for who, email in people.items()}
    for turn in range(len(people) * _CHANGES):
        who = chance.choice(list(people))
        people[who] = f"person{who}.{turn}@example.com"
        body = {"email": people[who], "password": PASSWORD}
        answer = platform.call("PATCH", "/api/auth/me/email", body, token=tokens[who])
        assert 200 == answer.status_code, answer.text
        if chance.random() < 0.1:
            platform.drain()
    platform.drain()


def _numbers_are_known(platform: Platform) -> None:
    """auth has followed the corrections: the new numbers are taken, the old ones free."""
    for place in range(_TAKEN):
        for number, expected in {1000 + place: 409, place: 201}.items():
            body = person(f"new{number}@example.com", national_id=patient(number)["national_id"])
            assert expected == platform.call("POST", "/api/auth/register", body).status_code


def _take_numbers(platform: Platform, reception: str, patients: list[str]) -> list[str]:
    """Registrations that patient refuses: reception has given their numbers to others, which
    auth has not heard yet. Their ids."""
    refused = []
    for place, who in enumerate(patients):
        number = patient(1000 + place)["national_id"]
        path = f"/api/patients/{who}"
        etag = platform.call("GET", path, token=reception).headers["ETag"]
        changed = platform.call(
            "PATCH", path, {"national_id": number}, token=reception, headers={"If-Match": etag}
        )
        assert 200 == changed.status_code, changed.text
        body = person(f"late{place}@example.com", national_id=number)
        made = platform.call("POST", "/api/auth/register", body).json or {}
        refused.append(made["registration_id"])
    platform.drain()
    return refused
