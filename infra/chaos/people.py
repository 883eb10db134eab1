"""People who use a platform that breaks: each tries the same again until it has an answer."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from infra.client import Answer, Away, Client
from infra.local.stack import Stack
from infra.people import nik

__all__ = ["Patient", "Refused", "Visitor", "at_once", "somebody"]

_PATIENCE = 180.0  # seconds somebody goes on trying
_ANSWER = 20.0  # seconds somebody waits for one answer


class Refused(Exception):
    """Somebody was told what nobody should be told; the text says what."""


@dataclass
class Patient:
    """Somebody, and what the books must hold about them when everything has been handled."""

    number: int
    email: str
    password: str
    national_id: str
    patient_id: str = ""
    token: str = ""
    addresses: list[str] = field(default_factory=list)
    """Every address they ever had; the last is the present one."""
    expected: Counter[str] = field(default_factory=Counter)
    """Effect -> how often."""
    erased: bool = False


class Visitor:
    """One connection to the platform, used by one thread."""

    def __init__(self, stack: Stack) -> None:
        self._client = Client(stack.url, timeout=_ANSWER)
        self.asked = 0
        """Requests that got an answer other than "later"."""

    def ask(
        self,
        expected: int,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        keyed: bool = False,
    ) -> Answer:
        """The answer; who is told 503, or nothing at all, tries again, ``keyed`` with the same
        Idempotency-Key. Raises Refused."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} if keyed else {}
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = self._once(method, path, body, token, headers)
            if answer is not None and answer.status == expected:
                self.asked += 1
                return answer
            if answer is not None and not _later(answer):
                raise Refused(f"{method} {path}: {answer.status} {answer.body}")
            if time.monotonic() > deadline:
                raise Refused(f"{method} {path}: nobody answers but with 503")
            time.sleep(0.1)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _once(
        self, method: str, path: str, body: Any, token: str | None, headers: dict[str, str]
    ) -> Answer | None:
        try:
            return self._client.call(method, path, body, token=token, headers=headers)
        except Away:
            return None


def _later(answer: Answer) -> bool:
    """Away, or the first attempt is still being answered."""
    in_progress = str(answer.body.get("type", "")).endswith(":idempotency-in-progress")
    return answer.status == 503 or (answer.status == 409 and in_progress)


def somebody(tag: str, number: int) -> Patient:
    """Person ``number`` of those marked with ``tag``; nobody else has their address or id."""
    chance = random.Random(f"{tag} {number}")  # nosec B311
    born = date(1950 + chance.randrange(50), chance.randint(1, 12), chance.randint(1, 28))
    email = f"{tag}.{number}@example.com"
    national_id = nik(born, chance.randint(1, 9999), woman=True, chance=chance)
    password = f"{chance.getrandbits(80):020x}"
    return Patient(number, email, password, national_id, addresses=[email])


def at_once(
    stack: Stack, patients: Sequence[Patient], work: Callable[[Visitor, Patient], None]
) -> tuple[int, list[str]]:
    """All of them do ``work`` at the same time: how many requests were answered, and what nobody
    should have been told."""

    def one(patient: Patient) -> tuple[int, str | None]:
        visitor = Visitor(stack)
        try:
            work(visitor, patient)
        except Refused as fault:
            return visitor.asked, str(fault)
        finally:
            visitor.close()
        return visitor.asked, None

    with ThreadPoolExecutor(max(1, len(patients)), thread_name_prefix="patient") as pool:
        done = list(pool.map(one, patients))
    return sum(asked for asked, _ in done), [fault for _, fault in done if fault]
