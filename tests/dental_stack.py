"""The dental records service on a database of its own: its HTTP edge, its handlers, its bus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import flask
from werkzeug.test import TestResponse

from functions.dental_records import main
from shared import runtime
from shared.contracts.patient import PatientRegistered
from shared.errors import Unauthenticated
from shared.identity import ANONYMOUS, Caller
from shared.inbox import receive
from shared.messages import Envelope, envelope
from shared.types import uuid7

__all__ = ["CARIES", "DentalStack", "admin", "dentist", "patient", "receptionist"]

CLINIC = "01900000-0000-7000-8000-00000000000c"
CARIES = {"tooth": "16", "surfaces": ["O", "M"], "code": "K02.1"}


def _person(role: str, place: str, identity: UUID | None = None) -> Caller:
    held = frozenset({role})
    return Caller("person", id=identity or uuid7(), roles=held, clinics={place: held})


def dentist() -> Caller:
    """Somebody who treats, at one clinic."""
    return _person("DENTIST", CLINIC)


def receptionist() -> Caller:
    """Somebody at the desk of one clinic."""
    return _person("RECEPTIONIST", CLINIC)


def admin() -> Caller:
    """An ADMIN of the group."""
    return _person("ADMIN", "*")


def patient(patient_id: UUID) -> Caller:
    """A patient, signed in."""
    return _person("PATIENT", "*", patient_id)


class DentalStack:
    """Use it from one test module; installing it makes it the process's dental records service."""

    def __init__(self, url: str) -> None:
        self.sent: list[Envelope] = []
        self.db = runtime.connected("dental_records", url, self)
        self.callers: dict[str, Caller] = {}
        self.dentist = dentist()
        self.app = flask.Flask("dental_records")
        self.app.add_url_rule(
            "/<path:path>",
            "all",
            lambda path: main.service.api.handle(
                flask.request, self._authenticate, main.service._once
            ),
            methods=["GET", "POST", "PUT"],
        )

    def publish(self, topic: str, envelopes: Any) -> None:
        """Stand in for a broker and keep what is sent."""
        self.sent.extend(Envelope.parse(one.to_json()) for one in envelopes)

    def told(self) -> list[Envelope]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def _authenticate(self, header: str | None) -> Caller:
        if header is None:
            return ANONYMOUS
        if header not in self.callers:
            raise Unauthenticated
        return self.callers[header]

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: Caller | None = None,
        match: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """One request below /api/dental-records, by a dentist unless somebody else is named."""
        caller = by or self.dentist
        token = f"Bearer {caller.id}"
        self.callers[token] = caller
        sent = {"Authorization": token, **(headers or {})}
        if match is not None:
            sent["If-Match"] = f'"{match}"'
        data = None if body is None else json.dumps(body)
        kind = None if body is None else "application/json"
        return self.app.test_client().open(
            f"/api/dental-records{path}",
            method=method,
            headers=sent,
            data=data,
            content_type=kind,
        )

    def ok(self, method: str, path: str, body: Any = None, **named: Any) -> Any:
        """The JSON of a request that succeeds."""
        answer = self.send(method, path, body, **named)
        assert answer.status_code in (200, 201), answer.text
        return answer.json

    def registered(self, patient_id: UUID | None = None) -> UUID:
        """Somebody of whom this service has heard."""
        found = patient_id or uuid4()
        event = envelope(PatientRegistered(patient_id=found), source="patient", version=1)

        def replied(*_: object) -> None:
            raise AssertionError("no command was sent")

        receive(self.db, main.service.on, event, replied=replied, topic="patient")
        return found

    def diagnosed(self, patient_id: UUID, **fields: Any) -> Any:
        """A problem like caries in the biting surface of an upper molar, apart from ``fields``."""
        return self.ok("POST", f"/{patient_id}/problems", {**CARIES, **fields})

    def performed(self, patient_id: UUID, **fields: Any) -> Any:
        """An intervention like its filling, apart from ``fields``."""
        body = {"procedure": "FILLING", "teeth": [{"tooth": "16", "surfaces": ["O", "M"]}]}
        return self.ok("POST", f"/{patient_id}/interventions", {**body, **fields})

    def chart(self, patient_id: UUID, query: str = "") -> Any:
        """The chart."""
        return self.ok("GET", f"/{patient_id}/chart{query}")
