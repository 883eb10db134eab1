"""auth, patient and xray with a gateway for uploads: images go the whole way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from werkzeug.test import Client, TestResponse

from infra.images import dicom
from infra.local.objects import Objects
from shared.blobs import objects
from shared.bus import Subscription, parse_push
from shared.messages import Envelope
from tests.platform import Platform

__all__ = ["DICOM", "NAME", "Clinic"]

DICOM = "application/dicom"
NAME = "Popescu^Ana"


def _nowhere(_environ: object, _start: object) -> list[bytes]:
    raise LookupError("no object's URL")


class Clinic:
    """A patient (Ana Popescu, born 1995-01-01), another one, a dentist, somebody at the desk."""

    def __init__(self, service_db: Callable[[str], str]) -> None:
        self.platform = Platform(service_db, services=("auth", "patient", "xray"))
        self.told: list[Envelope] = []
        self.platform.bus.subscribe(
            Subscription("test.xray", "xray", "test", "http://memory"), self._hear
        )
        self.admin = self.platform.admin()
        self.patient_id, self.patient = self.registered("ana@example.com")
        self.other_id, self.other = self.registered("eva@example.com", first_name="Eva")
        self.dentist = self.platform.staff("dentist@example.com", {"role": "DENTIST"})
        self.desk = self.platform.staff("desk@example.com", {"role": "RECEPTIONIST"})
        self.gateway = Client(Objects(_nowhere))
        self.db = self.platform.databases["xray"]

    def _hear(self, body: bytes) -> int:
        self.told.append(Envelope.parse(parse_push(body).data))
        return 204

    def registered(self, email: str, **more: Any) -> tuple[str, str]:
        """A new patient, born 1995-01-01: id and access token."""
        made = self.platform.register(email, birth_date="1995-01-01", **more)
        return str(made["patient_id"]), self.platform.token(email)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> TestResponse:
        """A request below /api/xrays, by the desk if nobody else."""
        match = more.pop("match", None)
        headers = dict(more.pop("headers", {}))
        if match is not None:
            headers["If-Match"] = f'"{match}"'
        token = more.pop("token", self.desk)
        return self.platform.call(
            method, f"/api/xrays{path}", body, token=token, headers=headers, **more
        )

    def announce(
        self, data: bytes, kind: str = DICOM, patient_id: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """The answer to an announced upload of ``data``."""
        body = {
            "patient_id": patient_id or self.patient_id,
            "content_type": kind,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            **more,
        }
        answer = self.call("POST", "", body)
        assert 201 == answer.status_code, answer.text
        found: dict[str, Any] = answer.json or {}
        return found

    def send(self, announced: Mapping[str, Any], data: bytes) -> int:
        """PUT the file where it was announced; the status."""
        upload = announced["upload"]
        parts = urlsplit(upload["url"])
        answer = self.gateway.open(
            parts.path,
            method=upload["method"],
            query_string=parts.query,
            data=data,
            headers=dict(upload["headers"]),
        )
        return answer.status_code

    def fetch(self, url: str) -> TestResponse:
        """GET a signed URL."""
        parts = urlsplit(url)
        return self.gateway.open(parts.path, method="GET", query_string=parts.query)

    def uploaded(self, data: bytes, kind: str = DICOM, **more: Any) -> str:
        """Announce and send ``data``; the image's id."""
        announced = self.announce(data, kind, **more)
        assert 200 == self.send(announced, data)
        return str(announced["xray_id"])

    def completed(self, data: bytes, kind: str = DICOM, **more: Any) -> dict[str, Any]:
        """Upload and complete ``data``; the image."""
        answer = self.call("POST", f"/{self.uploaded(data, kind, **more)}/complete")
        assert 200 == answer.status_code, answer.text
        found: dict[str, Any] = answer.json or {}
        return found

    def refused(self, data: bytes, kind: str = DICOM, **more: Any) -> str:
        """Upload and complete what is refused: the reason, after a look that nothing is left."""
        xray_id = self.uploaded(data, kind, **more)
        for _ in range(2):
            answer = self.call("POST", f"/{xray_id}/complete")
            assert 422 == answer.status_code, answer.text
        assert [] == self.objects_of(more.get("patient_id") or self.patient_id, xray_id)
        return str((answer.json or {})["reason"])

    def objects_of(self, patient_id: str, part: str = "") -> list[str]:
        """The paths of a patient's objects that have ``part`` in them."""
        folders = (f"xrays/{patient_id}", f"incoming/{patient_id}")
        return [path for folder in folders for path in objects().list(folder) if part in path]

    def dicom(self, **more: Any) -> bytes:
        """A DICOM file about Ana Popescu."""
        who = {"patient_name": NAME, "birth_date": "19950101"}
        return dicom(**(who | more))
