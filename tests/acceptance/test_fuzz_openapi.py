"""Whatever a service's own OpenAPI document allows or forbids, sent to it: an answer below 500."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.platform import EVERY, Platform

pytestmark = pytest.mark.long

# Generic over things that schemathesis does not export.
Case = Any
Operation = Any

CASES = 50_000
_ROUND = 60
"""Cases per operation before the next one has its turn."""
_STALE = {"If-Match": '"1"'}


class World:
    """The platform, people of every kind, and the ids that answers have shown so far."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        platform.register("fuzz@example.com", national_id="2950101123451")
        admin = platform.admin()
        clinic = {
            "name": "Centru",
            "address": "Str. Lunga 1",
            "time_zone": "Europe/Bucharest",
            "languages": ["ro"],
        }
        made = platform.call("POST", "/api/auth/clinics", clinic, token=admin)
        here = str((made.json or {})["id"])
        patient = platform.token("fuzz@example.com")
        self.tokens: Mapping[str, str | None] = {
            "nobody": None,
            "patient": patient,
            "admin": admin,
            "dentist": platform.staff("d@example.com", {"role": "DENTIST", "clinic_id": here}),
            "desk": platform.staff("r@example.com", {"role": "RECEPTIONIST", "clinic_id": here}),
        }
        mine = platform.call("GET", "/api/auth/me", token=patient).json or {}
        self.ids: dict[str, list[str]] = {"patient_id": [str(mine["id"])], "clinic_id": [here]}
        self.cases = 0
        self.failures: list[str] = []

    def learn(self, found: Any) -> None:
        """Remember the ids in an answer, a few of each name."""
        if isinstance(found, dict):
            for name, value in found.items():
                if name.endswith("id") and isinstance(value, str):
                    self._remember(name, value)
                self.learn(value)
        elif isinstance(found, list):
            for value in found[:5]:
                self.learn(value)

    def _remember(self, name: str, value: str) -> None:
        try:
            UUID(value)
        except ValueError:
            return
        known = self.ids.setdefault(name, [])
        if value not in known:
            known[:] = [*known[-4:], value]

    def known(self, name: str, chance: random.Random) -> str | None:
        """An id that exists, for a field of this name or for the ``{id}`` of any thing."""
        fitting = self.ids.get(name) or [one for ids in self.ids.values() for one in ids]
        return chance.choice(fitting) if fitting and chance.random() < 0.7 else None

    def send(self, case: Case, chance: random.Random) -> None:
        """One request; what is wrong with its answer is kept."""
        for place in (case.path_parameters, case.body):
            for name in list(place) if isinstance(place, dict) else ():
                if name.endswith("id") and (found := self.known(name, chance)):
                    place[name] = found
        token = self.tokens[chance.choice(sorted(self.tokens))]
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if chance.random() < 0.5:
            headers |= _STALE
        answer = case.call(headers=headers)
        self.cases += 1
        if answer.status_code >= 500:
            self.failures.append(f"{answer.status_code} {case.as_curl_command()[:2000]}")
        elif answer.status_code >= 400:
            kind = str(answer.headers.get("content-type"))
            # A path with a line break reaches no service: the framework's router knows no such.
            # What is behind a link in an e-mail is a page for people, also when it refuses.
            page = "/links/" in case.operation.path and "text/html" in kind
            known = page or "application/problem+json" in kind or "%0A" in case.formatted_path
            if not known:
                self.failures.append(f"{kind} {case.as_curl_command()[:2000]}")
        elif "json" in str(answer.headers.get("content-type")) and answer.content:
            self.learn(answer.json())


@pytest.fixture(scope="module")
def world(service_db: Callable[[str], str]) -> World:
    """Every service on fresh databases."""
    return World(Platform(service_db, services=EVERY))


def _operations(world: World) -> Iterator[Operation]:
    for service in world.platform.services.values():
        schema = schemathesis.openapi.from_wsgi(
            f"{service.prefix}/-/openapi.json", world.platform.app
        )
        for found in schema.get_all_operations():
            yield cast("Any", found).ok()


def _fuzz(world: World, operation: Operation, number: int) -> None:
    strategy = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @seed(number)
    @settings(
        max_examples=_ROUND,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy, chance=st.randoms(use_true_random=False))
    def cases(case: Case, chance: random.Random) -> None:
        world.send(case, chance)

    cases()


def test_no_case_of_any_service_is_a_500(world: World) -> None:
    """50,000 requests that fit or break the OpenAPI documents get no 500, and refusals are
    problems (RFC 9457)."""
    operations = list(_operations(world))
    number = 0
    while world.cases < CASES:
        number += 1
        for operation in operations:
            _fuzz(world, operation, number)
        world.platform.drain()
    assert [] == world.failures[:20]
    assert {service.name for service in world.platform.services.values()} == set(EVERY)
