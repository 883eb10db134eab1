"""What tests of a patient's history share: changes of each kind, and a look."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest

from functions.patient.store import history as store
from shared.clocks import clock
from shared.contracts.auth import EmailUpdated
from shared.contracts.gdpr import GdprDataDeletion
from shared.identity import Caller
from shared.messages import envelope
from shared.types import uuid7
from tests.patient_stack import PatientStack, person

__all__ = [
    "ADMIN",
    "DESK",
    "change",
    "erased",
    "facts",
    "moved",
    "old",
    "patched",
    "shown",
    "tell",
    "whats",
]

ADMIN = Caller("person", uuid7(), frozenset({"ADMIN"}), {"*": frozenset({"ADMIN"})})
DESK = person("RECEPTIONIST")


def shown(stack: PatientStack, patient_id: UUID, by: Caller = ADMIN, **query: Any) -> Any:
    """What the route answers."""
    path = f"/{patient_id}/history?{urlencode(query)}"
    answer = stack.send("GET", path, by=by)
    assert 200 == answer.status_code, answer.text
    return answer.get_json()


def whats(stack: PatientStack, patient_id: UUID) -> list[str]:
    """The kinds of change, in their order."""
    return [item["what"] for item in shown(stack, patient_id)["items"]]


def change(stack: PatientStack, patient_id: UUID, version: int, **fields: Any) -> None:
    """The reception changes the profile."""
    answer = stack.send("PATCH", f"/{patient_id}", fields, by=DESK, match=version)
    assert 200 == answer.status_code, answer.text


def tell(stack: PatientStack, patient_id: UUID, version: int, **told: str) -> None:
    """The patient tells the medical history."""
    mine = person("PATIENT", patient_id)
    answer = stack.send("PUT", f"/{patient_id}/anamnesis", told, by=mine, match=version)
    assert 200 == answer.status_code, answer.text


def moved(stack: PatientStack, patient_id: UUID, address: str, version: int, at: datetime) -> None:
    """Auth says that the address is another one since ``at``."""
    env = envelope(
        EmailUpdated(person_id=patient_id, email=address), source="auth", version=version
    )
    stamp = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z-0000"
    dated = env.model_copy(update={"metadata": env.metadata.model_copy(update={"hlc": stamp})})
    assert "handled" == stack.deliver(dated)


def erased(stack: PatientStack, patient_id: UUID) -> None:
    """The person is erased."""
    event = GdprDataDeletion(
        patient_id=patient_id,
        erasure_id=uuid4(),
        reason="USER_REQUEST_ARTICLE_17",
        requested_at=clock().now(),
    )
    assert "handled" == stack.deliver(envelope(event, source="auth"), topic="gdpr")


def facts(stack: PatientStack, patient_id: UUID) -> list[Any]:
    """The facts as they can be read now: None where the key is gone."""
    found = store.STORE.history(stack.db, store.stream(patient_id))
    return [event.fact for event in found]


def old(stack: PatientStack, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> UUID:
    """A patient from before there were histories."""
    with monkeypatch.context() as patch:
        patch.setattr(store, "note", lambda *_, **__: None)
        patient_id = stack.register(**fields)
    stack.rows("update patients set facts = 0 where patient_id = :id", id=patient_id)
    return patient_id


def patched(stack: PatientStack, patient_id: UUID, version: int, **fields: Any) -> int:
    """How a change by the reception ends."""
    sent = stack.send("PATCH", f"/{patient_id}", fields, by=DESK, match=version)
    return sent.status_code
