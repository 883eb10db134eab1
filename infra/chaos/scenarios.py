"""What people do on a platform while it breaks, and what they may expect afterwards.

A scenario says in advance, for every person, which effects there must be and how often; whatever
else the books hold about the person is an anomaly.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from infra import manifest
from infra.chaos.people import Patient, Refused, Visitor
from infra.local.stack import Stack
from shared.contracts.gdpr import ERASER

__all__ = ["SCENARIOS", "Scenario", "register"]

_AUTH = "/api/auth"
_PATIENCE = 90.0  # seconds until a registration must be through
_REGISTERED = Counter(
    {
        "account ACTIVE": 1,
        "registration completed": 1,
        "profile": 1,
        "in the app: WELCOME": 1,
        "delivery SENT: WELCOME to CURRENT": 1,
        "mail: WELCOME": 1,
        "auth audit: create account": 1,
        "auth audit: write account": 1,
        "patient audit: create profile": 1,
    }
)
_MOVED = Counter(
    {
        "in the app: EMAIL_UPDATED": 1,
        "delivery SENT: EMAIL_UPDATED to CURRENT": 1,
        "delivery SENT: EMAIL_UPDATED to PREVIOUS": 1,
        "mail: EMAIL_UPDATED": 2,
        "auth audit: write email": 1,
        "patient audit: write email": 1,
    }
)
_WARNED = Counter(
    {
        "in the app: PASSWORD_CHANGED": 1,
        "delivery SENT: PASSWORD_CHANGED to CURRENT": 1,
        "mail: PASSWORD_CHANGED": 1,
        "auth audit: write password": 1,
    }
)


@cache
def _erased() -> Counter[str]:
    """What an erasure comes to; every service that knows people takes part."""
    services = [service.name for service in manifest.load() if service.privacy.tables]
    effects = {"erasure COMPLETED", "entry in the ledger", "auth audit: erase account"}
    effects |= {f"erased in {name}" for name in services}
    effects |= {f"{name} audit: erase everything" for name in services if name != ERASER}
    return Counter(effects)


@dataclass
class Scenario(ABC):
    """One kind of traffic against one platform."""

    stack: Stack
    admin_token: str
    last: bool = False
    """Nobody does anything else afterwards: the next message of a person would take along those
    that were left behind, and nobody would notice that nothing else does."""
    name: ClassVar[str]
    settled: ClassVar[bool] = True
    """People are registered before anything breaks."""

    @abstractmethod
    def act(self, visitor: Visitor, patient: Patient) -> None:
        """What ``patient`` does; notes what must follow. Raises Refused."""

    @abstractmethod
    def holds(self, visitor: Visitor, patient: Patient) -> None:
        """Afterwards, what ``patient`` did is true for everybody to see. Raises Refused."""


class Registration(Scenario):
    """People register, get in, and are welcomed."""

    name = "registration"
    settled = False

    def act(self, visitor: Visitor, patient: Patient) -> None:
        register(visitor, patient)

    def holds(self, visitor: Visitor, patient: Patient) -> None:
        _login(visitor, patient)


class Email(Scenario):
    """People move to other addresses; their profiles and both their mailboxes hear of it."""

    name = "e-mail sync"

    def act(self, visitor: Visitor, patient: Patient) -> None:
        for number in (1,) if self.last else (1, 2):
            email = f"{number}.{patient.email}"
            body = {"email": email, "password": patient.password}
            # Known before it is asked: a lost answer is no lost change.
            patient.addresses.append(email)
            visitor.ask(200, "PATCH", f"{_AUTH}/me/email", body, token=patient.token)
            patient.expected += _MOVED
            profile = f"/api/patients/{patient.patient_id}"
            visitor.ask(200, "GET", profile, token=patient.token)

    def holds(self, visitor: Visitor, patient: Patient) -> None:
        profile = f"/api/patients/{patient.patient_id}"
        found = visitor.ask(200, "GET", profile, token=patient.token).body["email"]
        if found != patient.addresses[-1]:
            raise Refused(f"person {patient.number}: the profile has another address")


class Erasure(Scenario):
    """People are erased, in every service and for ever."""

    name = "erasure"

    def act(self, visitor: Visitor, patient: Patient) -> None:
        body = {"patient_id": patient.patient_id}
        path = f"{_AUTH}/erasures"
        visitor.ask(202, "POST", path, body, token=self.admin_token, keyed=True)
        patient.erased = True
        mails = {effect: n for effect, n in patient.expected.items() if effect[:5] == "mail:"}
        logged = {effect: n for effect, n in patient.expected.items() if " audit: " in effect}
        kept = {"registration completed": 1}
        # What has left the platform, and who did what, stays; names are in neither.
        patient.expected = Counter(mails) + Counter(logged) + Counter(kept) + _erased()

    def holds(self, visitor: Visitor, patient: Patient) -> None:
        for path in (f"{_AUTH}/users", "/api/patients"):
            visitor.ask(404, "GET", f"{path}/{patient.patient_id}", token=self.admin_token)


class Notification(Scenario):
    """People change their passwords and are warned of it, in the app and by e-mail."""

    name = "notification"

    def act(self, visitor: Visitor, patient: Patient) -> None:
        new = patient.password[::-1]
        body = {"current_password": patient.password, "new_password": new}
        path = f"{_AUTH}/me/password"
        visitor.ask(204, "POST", path, body, token=patient.token, keyed=True)
        patient.password = new
        patient.expected += _WARNED

    def holds(self, visitor: Visitor, patient: Patient) -> None:
        _login(visitor, patient)
        found = visitor.ask(200, "GET", "/api/notifications", token=patient.token).body
        kinds = [item["kind"] for item in found["items"]]
        if (kinds, found["unread"]) != (["PASSWORD_CHANGED", "WELCOME"], 2):
            raise Refused(f"person {patient.number}: the inbox shows {kinds}")


SCENARIOS: tuple[type[Scenario], ...] = (Registration, Email, Erasure, Notification)


def register(visitor: Visitor, patient: Patient) -> None:
    """Register ``patient``, wait until they may come in, and log in. Raises Refused."""
    body = {
        "email": patient.email,
        "password": patient.password,
        "first_name": "Ștefania",
        "last_name": f"Ionescu {patient.number}",
        "national_id": patient.national_id,
        "anamnesis": {"allergies": "latex"},
    }
    answer = visitor.ask(201, "POST", f"{_AUTH}/register", body, keyed=True)
    patient.patient_id = answer.body["patient_id"]
    patient.expected += _REGISTERED
    deadline = time.monotonic() + _PATIENCE
    while visitor.ask(200, "GET", answer.headers["Location"]).body["status"] != "ACTIVE":
        if time.monotonic() > deadline:
            raise Refused(f"person {patient.number} does not get in")
        time.sleep(0.05)
    _login(visitor, patient)


def _login(visitor: Visitor, patient: Patient) -> None:
    body = {"email": patient.addresses[-1], "password": patient.password}
    answer = visitor.ask(200, "POST", f"{_AUTH}/login", body)
    patient.token = answer.body["access_token"]
