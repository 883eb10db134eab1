"""The patient service on a database of its own: its HTTP edge, its handlers, its bus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions.patient import main
from shared import runtime
from shared.contracts.auth import EmailUpdated
from shared.contracts.patient import CreatePatient, RemovePatient
from shared.db import Tx
from shared.errors import Problem, Unauthenticated
from shared.identity import ANONYMOUS, Caller
from shared.inbox import Outcome, receive
from shared.messages import Envelope, Message, SagaContext, envelope
from shared.types import uuid7

CLINIC = "01900000-0000-7000-8000-00000000000c"
# Valid numbers of nobody in particular: three CNPs and a NIK.
CNPS = ("1960229410015", "2960229410025", "5010203410033")
NIK = "3201014107950003"


def person(role: str, identity: UUID | None = None) -> Caller:
    """Somebody signed in; staff hold their role at one clinic, patients everywhere."""
    place = "*" if role == "PATIENT" else CLINIC
    roles = frozenset({role})
    return Caller("person", id=identity or uuid7(), roles=roles, clinics={place: roles})


class PatientStack:
    """Use it from one test module; installing it makes it the process's patient service."""

    def __init__(self, url: str) -> None:
        self.sent: list[Envelope] = []
        self.refused: list[Problem | None] = []
        self.db = runtime.connected("patient", url, self)
        self.callers: dict[str, Caller] = {}
        self.app = flask.Flask("patient")
        for rule in ("/", "/<path:path>"):
            self.app.add_url_rule(
                rule,
                rule,
                lambda path="": main.service.api.handle(flask.request, self._authenticate),
                methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            )

    def publish(self, topic: str, envelopes: Any) -> None:
        """Stand in for a broker and keep what is sent."""
        self.sent.extend(Envelope.parse(one.to_json()) for one in envelopes)

    def types(self) -> list[str]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return [env.event_type for env in sent]

    def _authenticate(self, header: str | None) -> Caller:
        if header is None:
            return ANONYMOUS
        if header not in self.callers:
            raise Unauthenticated
        return self.callers[header]

    def send(
        self,
        method: str,
        path: str = "",
        body: Any = None,
        *,
        by: Caller | None = None,
        match: int | str | None = None,
    ) -> TestResponse:
        """One request below /api/patients by ``by``, with If-Match ``match``."""
        headers: dict[str, str] = {}
        if by is not None:
            token = f"Bearer {by.id}-{','.join(sorted(by.roles))}"
            self.callers[token] = by
            headers["Authorization"] = token
        if match is not None:
            headers["If-Match"] = f'"{match}"'
        client: FlaskClient = self.app.test_client()
        data = None if body is None else json.dumps(body)
        kind = None if body is None else "application/json"
        return client.open(
            f"/api/patients{path}", method=method, headers=headers, data=data, content_type=kind
        )

    def receive(self, message: Message, **named: Any) -> Outcome:
        """Deliver ``message`` from auth; ``named`` as for ``envelope``."""
        return self.deliver(envelope(message, source="auth", **named))

    def deliver(self, env: Envelope, topic: str = "auth") -> Outcome:
        """Deliver this very envelope, as it arrives on ``topic``."""
        return receive(self.db, main.service.on, env, replied=self._replied, topic=topic)

    def _replied(self, tx: Tx, env: Envelope, problem: Problem | None) -> None:
        self.refused.append(problem)

    def command(self, message: Message, **named: Any) -> Problem | None:
        """Deliver ``message`` as a saga's command; the refusal, if it was refused."""
        saga = SagaContext(
            saga_id=uuid7(),
            step="create profile",
            action="undo" if isinstance(message, RemovePatient) else "do",
            orchestrator="auth",
        )
        self.refused.clear()
        outcome = self.receive(message, saga=saga, **named)
        assert outcome in ("handled", "refused")
        return self.refused[-1]

    def register(self, patient_id: UUID | None = None, **fields: Any) -> UUID:
        """A patient like Ana Popescu, apart from ``fields``."""
        identity = patient_id or uuid7()
        assert self.command(ana(identity, **fields)) is None
        return identity

    def email(self, patient_id: UUID, address: str, version: int) -> Outcome:
        """Deliver auth's news of an address."""
        event = EmailUpdated(person_id=patient_id, email=address)
        return self.receive(event, version=version)

    def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        """Look into the database."""
        return self.db.all(sql, **params)

    def count(self, patient_id: UUID) -> Mapping[str, int]:
        """How many rows each table has of this person."""
        tables = {
            "patients": "patient_id",
            "patient_anamnesis": "patient_id",
            "patient_words": "patient_id",
            "subject_keys": "subject",
            "early_emails": "patient_id",
            "removed_patients": "patient_id",
        }
        return {
            table: self.rows(
                f"select count(*) as n from {table} where {column} = :patient_id",
                patient_id=patient_id,
            )[0]["n"]
            for table, column in tables.items()
        }


def ana(patient_id: UUID, **fields: Any) -> CreatePatient:
    """The command that makes Ana Popescu's profile."""
    given: dict[str, Any] = {
        "email": "ana@example.com",
        "email_version": 1,
        "first_name": "Ana",
        "last_name": "Popescu",
        "language": "ro",
    }
    return CreatePatient(patient_id=patient_id, **{**given, **fields})
