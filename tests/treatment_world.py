"""A clinic with a dentist and a patient, for tests of treatment: the platform's real services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from shared.bus import Push, Subscription, parse_push, push_body
from shared.messages import Envelope, Event, envelope
from tests.platform import Platform

__all__ = ["World", "item", "plan", "quiet_fixture", "revised"]


def item(price: int = 15_000, **more: Any) -> dict[str, Any]:
    """A filling."""
    return {"procedure": "Composite filling", "price": price, "tooth": "36", **more}


def plan(*items: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A plan of one phase."""
    return {"title": "Lower left", "phases": [{"title": "First", "items": list(items)}], **more}


def revised(shown: dict[str, Any], *more: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a next version: the items there are, changed alike, and ``more``."""
    kept = [
        {key: one[key] for key in ("item_id", "procedure", "price", "tooth")} | changes
        for phase in shown["phases"]
        for one in phase["items"]
    ]
    return plan(*kept, *more)


class World:
    """auth, patient and treatment with somebody at the desk, a dentist, and Ana the patient."""

    def __init__(self, service_db: Callable[[str], str]) -> None:
        self.platform = Platform(service_db, services=("auth", "patient", "treatment"))
        self.told: list[Envelope] = []
        listener = Subscription("test.treatment", "treatment", "test", "http://memory")
        self.platform.bus.subscribe(listener, self._listen)
        self.admin = self.platform.admin()
        self.clinic = self.new_clinic("Centru")
        self.dentist = self.staff("dentist", "DENTIST", self.clinic)
        self.desk = self.staff("desk", "RECEPTIONIST", self.clinic)
        self.ana, self.patient_id = self.patient("ana")

    def _listen(self, body: bytes) -> int:
        self.told.append(Envelope.parse(parse_push(body).data))
        return 204

    def new_clinic(self, name: str) -> str:
        """A clinic's id."""
        zone = "Europe/Bucharest"
        body = {"name": name, "address": "Piața 1", "time_zone": zone, "languages": ["ro"]}
        made = self.call("POST", "/api/auth/clinics", body, by=self.admin)
        assert 201 == made.status_code, made.text
        return str(self.json(made)["id"])

    def staff(self, name: str, role: str, clinic: str) -> str:
        """The token of somebody with ``role`` at ``clinic``."""
        return self.platform.staff(f"{name}@example.com", {"role": role, "clinic_id": clinic})

    def patient(self, name: str) -> tuple[str, str]:
        """The token and the id of somebody who registers."""
        address = f"{name}@example.com"
        made = self.platform.register(address)
        return self.platform.token(address), str(made["patient_id"])

    def call(
        self, method: str, path: str, body: Any = None, *, by: str, match: int | None = None
    ) -> TestResponse:
        """One request by whom the token ``by`` belongs to, with If-Match ``match``."""
        headers = {} if match is None else {"If-Match": f'"{match}"'}
        return self.platform.call(method, path, body, token=by, headers=headers)

    def treat(
        self,
        method: str,
        path: str = "",
        body: Any = None,
        *,
        by: str | None = None,
        match: int | None = None,
    ) -> TestResponse:
        """One request below /api/treatments, by the dentist unless somebody else is named."""
        return self.call(method, f"/api/treatments{path}", body, by=by or self.dentist, match=match)

    @staticmethod
    def json(answer: TestResponse) -> dict[str, Any]:
        """The body."""
        found: dict[str, Any] = answer.json or {}
        return found

    def offer(self, *items: Mapping[str, Any], patient_id: str | None = None) -> dict[str, Any]:
        """A plan on offer to the patient, to Ana unless another one is named."""
        whose = {"patient_id": patient_id or self.patient_id, "clinic_id": self.clinic}
        body = plan(*(items or (item(),)), currency="RON", **whose)
        made = self.treat("POST", "", body)
        assert 201 == made.status_code, made.text
        return self.json(made)

    def shown(self, treatment_id: str, by: str | None = None) -> dict[str, Any]:
        """A plan as it is now, and its version."""
        answer = self.treat("GET", f"/{treatment_id}", by=by)
        assert 200 == answer.status_code, answer.text
        return {**self.json(answer), "version": int(answer.headers["ETag"].strip('"'))}

    def accept(self, treatment_id: str, plan_version: int = 1) -> TestResponse:
        """Ana agrees."""
        body = {"plan_version": plan_version}
        return self.treat("POST", f"/{treatment_id}/accept", body, by=self.ana)

    def hear(self, message: Event, version: int | None, event_id: UUID | None = None) -> None:
        """Treatment gets a message that another service has sent."""
        env = envelope(message, source=message.topic(), version=version, event_id=event_id)
        self.platform.bus.publish(message.topic(), [env])
        self.platform.drain()

    def allergies(
        self, status: str, *listed: Mapping[str, Any], patient_id: str | None = None
    ) -> dict[str, Any]:
        """The dentist writes the list anew; what patient answers."""
        path = f"/api/patients/{patient_id or self.patient_id}/allergies"
        now = self.call("GET", path, by=self.dentist)
        version = int(now.headers["ETag"].strip('"'))
        body = {"status": status, "allergies": list(listed)}
        made = self.call("PUT", path, body, by=self.dentist, match=version)
        assert 200 == made.status_code, made.text
        return self.json(made)

    def sent(self) -> list[str]:
        """The types of what treatment has published since this was called before, in order."""
        self.platform.drain()
        told, self.told = self.told, []
        return [env.event_type for env in told]

    def push(self, message: Event, version: int) -> None:
        """Treatment gets this very message now, before others of its key that still wait."""
        env = envelope(message, source=message.topic(), version=version)
        push = Push(
            env.to_json().encode(),
            env.attributes(),
            str(env.event_id),
            env.timestamp,
            f"treatment.{message.topic()}",
            env.ordering_key,
        )
        self.platform.services["treatment"].deliver(push_body(push))

    def prescription(self, patient_id: str | None = None, **changes: Any) -> dict[str, Any]:
        """The body of a prescription of amoxicillin, for Ana unless somebody else is named."""
        return {
            "patient_id": patient_id or self.patient_id,
            "clinic_id": self.clinic,
            "drug": {"name": "Amoxicillin", "code": "J01CA04"},
            "form": "capsule",
            "strength": "500 mg",
            "dose": {"value": "1", "unit": "capsule"},
            "route": "oral",
            "timing": {"frequency": 3},
            "duration": {"value": 7},
            **changes,
        }

    def prescribe(self, patient_id: str | None = None, **changes: Any) -> TestResponse:
        """The dentist prescribes it."""
        return self.treat("POST", "/prescriptions", self.prescription(patient_id, **changes))


def quiet_fixture() -> Any:
    """A fixture of every test of the module: what others made treatment publish is forgotten."""

    @pytest.fixture(autouse=True)
    def quiet(world: World) -> None:
        world.sent()

    return quiet
