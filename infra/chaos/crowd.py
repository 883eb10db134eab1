"""People who register and change their e-mail addresses while a platform breaks and mends.

They do what people do: told 503, or nothing at all, they try the same again. Whatever else they
are told is a fault.
"""

from __future__ import annotations

import itertools
import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from infra.client import Answer, Away, Client
from infra.local.stack import Stack
from infra.people import nik

__all__ = ["Crowd"]

_PASSWORD = secrets.token_urlsafe(18)
_PATIENCE = 180.0  # seconds somebody goes on trying
_numbers = itertools.count(1)


@dataclass
class _Mover:
    """Somebody with an account who moves from one e-mail address to the next."""

    patient_id: str
    token: str
    first: str
    email: str


class Crowd:
    """``with Crowd(stack) as crowd:`` there is traffic; afterwards everybody has finished."""

    def __init__(self, stack: Stack, *, registering: int = 3, moving: int = 2) -> None:
        """That many threads of each kind; ``moving`` people are registered right away."""
        self._stack = stack
        self._registering = registering
        self.tag = secrets.token_hex(3)
        self.refused: list[Answer] = []
        """Every 503."""
        self.faults: list[str] = []
        """Everything that should not have happened."""
        self.registrations: dict[str, str] = {}
        """E-mail address -> registration id, of everybody who was told 201."""
        self.emails: set[str] = set()
        """Everybody who registered, whatever they were told, by their first address."""
        self.moves = 0
        self._ending = threading.Event()
        self._movers = [self._settled() for _ in range(moving)]
        self._threads = ThreadPoolExecutor(registering + moving, thread_name_prefix="crowd")
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        loops: list[Callable[[], None]] = [self._register_all] * self._registering
        self._running = [self._threads.submit(loop) for loop in loops]
        self._running += [self._threads.submit(self._move, mover) for mover in self._movers]
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._threads.shutdown()
        for thread in self._running:
            thread.result()

    def addresses(self, failed: set[str]) -> set[str]:
        """Everybody's address now, but those whose registrations (by id) have failed."""
        now = {mover.first: mover.email for mover in self._movers}
        return {
            now.get(email, email)
            for email in self.emails
            if self.registrations.get(email) not in failed
        }

    def _register_all(self) -> None:
        client = Client(self._stack.url)
        while not self._ending.is_set():
            body = self._somebody()
            self.emails.add(body["email"])
            answer, repeated = self._insist(client, "POST", "/api/auth/register", body)
            if answer.status == 201:
                self.registrations[body["email"]] = answer.body["registration_id"]
            elif not (answer.status == 409 and repeated):
                # 409 is what one is told whose first attempt took effect without an answer.
                self._fault("register", answer)
            time.sleep(0.01)

    def _move(self, mover: _Mover) -> None:
        client = Client(self._stack.url)
        for number in itertools.count(1):
            if self._ending.is_set():
                return
            email = f"{mover.patient_id}.{number}.{self.tag}@example.com"
            body = {"email": email, "password": _PASSWORD}
            path, token = "/api/auth/me/email", mover.token
            answer, _ = self._insist(client, "PATCH", path, body, token=token)
            if answer.status == 200:
                mover.email = email
                self.moves += 1
            else:
                self._fault("change the address", answer)
            path = f"/api/patients/{mover.patient_id}"
            answer, _ = self._insist(client, "GET", path, token=token)
            if answer.status != 200:
                self._fault("read the own profile", answer)
            time.sleep(0.02)

    def _insist(
        self, client: Client, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> tuple[Answer, bool]:
        """The first answer that is not 503, and whether it took several attempts."""
        deadline = time.monotonic() + _PATIENCE
        for attempt in itertools.count():
            try:
                answer = client.call(method, path, body, token=token)
            except Away:
                answer = None
            if answer is not None and (answer.status != 503 or time.monotonic() > deadline):
                return answer, attempt > 0
            if answer is not None:
                self._check_refusal(answer)
            elif time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}: nobody answers")
            time.sleep(0.05)
        raise AssertionError("unreachable")

    def _check_refusal(self, answer: Answer) -> None:
        kind, wait = answer.headers.get("Content-Type"), answer.headers.get("Retry-After", "")
        if kind != "application/problem+json" or not wait.isdecimal():
            self._fault("a 503 that is no problem+json with Retry-After", answer)
        self.refused.append(answer)

    def _fault(self, what: str, answer: Answer) -> None:
        self.faults.append(f"{what}: {answer.status} {answer.body}")

    def _settled(self) -> _Mover:
        """Somebody who is registered and logged in."""
        client, body = Client(self._stack.url), self._somebody()
        made = client.call("POST", "/api/auth/register", body)
        if made.status != 201:
            raise RuntimeError(f"nobody can register: {made.status} {made.body}")
        self.emails.add(body["email"])
        self.registrations[body["email"]] = made.body["registration_id"]
        deadline = time.monotonic() + _PATIENCE
        while client.call("GET", made.headers["Location"]).body["status"] != "ACTIVE":
            if time.monotonic() > deadline:
                raise TimeoutError("nobody gets in")
            time.sleep(0.02)
        login = {"email": body["email"], "password": _PASSWORD}
        tokens = client.call("POST", "/api/auth/login", login).body
        return _Mover(made.body["patient_id"], tokens["access_token"], body["email"], body["email"])

    def _somebody(self) -> dict[str, Any]:
        number = next(_numbers)
        chance = random.Random(self.tag + str(number))  # nosec B311
        born = date(1950 + chance.randrange(50), chance.randint(1, 12), chance.randint(1, 28))
        # Nobody else has this id: of ten thousand in a row each has a serial of their own.
        identity = nik(born, 1 + number % 9999, woman=True, chance=chance)
        return {
            "email": f"person.{number}.{self.tag}@example.com",
            "password": _PASSWORD,
            "first_name": "Ștefania",
            "last_name": f"Ionescu {number}",
            "national_id": identity,
            "anamnesis": {"allergies": "latex"},
        }
