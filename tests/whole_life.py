"""Somebody about whom every service knows something: all seven, over HTTP."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from werkzeug.test import Client, TestResponse

from infra.images import dicom, raster
from infra.local.objects import Objects
from shared.bus import Subscription, parse_push
from shared.messages import Envelope
from shared.testing import frozen
from tests.erasure_stack import NEEDLES, enter
from tests.platform import EVERY, Platform

__all__ = ["WORDS", "Life"]

_VISITS, _XRAYS, _PLANS = "/api/appointments", "/api/xrays", "/api/treatments"
_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_ZONE = "Europe/Bucharest"
_LINK = re.compile(r"https?://\S+?(/api/appointments/(?:links/\w+|calendar)/[\w.~-]+)")

WORDS = tuple(word for word in NEEDLES if isinstance(word, str))
"""What names the person, or was written about them; nothing else contains one of these."""


class Life:
    """Zenobiella Quillfeather, and the clinic that knows her. ``ids`` are of what is about her."""

    def __init__(self, service_db: Callable[[str], str]) -> None:
        self.platform = Platform(service_db, services=EVERY)
        self.links: dict[str, str] = {}
        """``offers``, ``reminders``, ``calendar`` -> the path of a link that she was sent."""
        listener = Subscription("test.life", "appointment", "test", "http://memory")
        self.platform.bus.subscribe(listener, self._listen)
        self.tokens = {"admin": self.platform.admin()}
        self.clinic_id = self._clinic()
        for name, role in (("dentist", "DENTIST"), ("desk", "RECEPTIONIST"), ("chief", "ADMIN")):
            held = {"role": role, "clinic_id": self.clinic_id}
            self.tokens[name] = self.platform.staff(f"{name}@example.com", held)
        other = self.platform.register("other@example.com", first_name="Ion", last_name="Ursu")
        self.other_id = str(other["patient_id"])
        self.tokens["other"] = self.platform.token("other@example.com")
        self.patient_id, self.tokens["person"] = enter(self.platform)
        self.ids: dict[str, str] = {"patient_id": self.patient_id}
        self.gateway = Client(Objects(self._nowhere))
        self.dentist_id = self._me("dentist")
        self.type_id = self._hours()
        self.file = b""

    @staticmethod
    def _nowhere(_environ: object, _start: object) -> list[bytes]:
        raise LookupError("no object's URL")

    def _listen(self, body: bytes) -> int:
        payload = Envelope.parse(parse_push(body).data).payload
        if payload.get("patient_id") == getattr(self, "patient_id", None):
            self.keep_link(str(payload.get("link", "")))
        return 204

    def keep_link(self, url: str) -> None:
        """Remember the path of a link that needs no log-in."""
        found = _LINK.match(url)
        if found is not None:
            self.links[found[1].split("/")[-2]] = found[1]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str | None = "desk",
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """One request by one of ``tokens``."""
        token = self.tokens[by] if by else None
        return self.platform.call(method, path, body, token=token, headers=headers)

    def done(
        self, method: str, path: str, body: Any = None, *, by: str = "desk", match: str = ""
    ) -> dict[str, Any]:
        """The JSON of one that succeeds, with its ``etag``."""
        headers = {"If-Match": match} if match else {}
        answer = self.call(method, path, body, by=by, headers=headers)
        assert answer.status_code in (200, 201, 202, 204), (method, path, answer.text)
        self.platform.drain()
        return {**(answer.json or {}), "etag": answer.headers.get("ETag", "")}

    def _me(self, who: str) -> str:
        return str(self.done("GET", "/api/auth/me", by=who)["id"])

    def _clinic(self) -> str:
        body = {"name": "Centru", "address": "Strada 1", "time_zone": _ZONE, "languages": ["ro"]}
        return str(self.done("POST", "/api/auth/clinics", body, by="admin")["id"])

    def _hours(self) -> str:
        here = f"{_VISITS}/clinics/{self.clinic_id}"
        self.done("POST", f"{here}/chairs", {"name": "1"})
        kind = {"name": "Control", "duration_minutes": 30, "price": 100, "currency": "RON"}
        made = self.done("POST", f"{here}/types", kind)
        week = [{"weekday": day, "starts": "00:00", "ends": "23:30", "breaks": []} for day in _DAYS]
        hours = {"practitioner_id": self.dentist_id, "display_name": "Dr. Ionescu", "hours": week}
        self.done("POST", f"{here}/practitioners", hours)
        return str(made["type_id"])

    def live(self) -> None:
        """Everything that a patient leaves behind in the seven services."""
        self._visits()
        self._waits()
        self._chart()
        self._images()
        self._plan()
        feed = self.done("POST", f"{_VISITS}/calendar", by="person")
        self.keep_link(feed["url"])
        for name in ("notification", "appointment", "dental_records"):
            for job in ("project", "send-mail", "refresh-inboxes"):
                if job in self.platform.services[name].jobs:
                    self.platform.services[name].jobs[job].run()
        self.platform.drain()

    def slot(self, ahead: timedelta) -> str:
        """The first free slot then."""
        start = datetime.now(UTC) + ahead
        asked = {
            "practitioner_id": self.dentist_id,
            "type_id": self.type_id,
            "from": start.isoformat(),
            "to": (start + timedelta(hours=20)).isoformat(),
        }
        query = "&".join(f"{name}={quote(value)}" for name, value in asked.items())
        found = self.done("GET", f"{_VISITS}/slots?{query}")["items"]
        return str(found[0]["starts_at"])

    def _booked(self, starts_at: str, patient_id: str) -> dict[str, Any]:
        body = {
            "patient_id": patient_id,
            "practitioner_id": self.dentist_id,
            "type_id": self.type_id,
            "starts_at": starts_at,
            "note": "quillfeather visit",
        }
        return self.done("POST", _VISITS, body)

    def _visits(self) -> None:
        """One took place, one is to come, one was asked for."""
        made = self._booked(self.slot(timedelta(hours=1)), self.patient_id)
        # The clinic's day: late in the evening UTC's is another one.
        starts = datetime.fromisoformat(made["starts_at"])
        self.day = starts.astimezone(ZoneInfo(_ZONE)).date().isoformat()
        self.ids["appointment_id"] = made["appointment_id"]
        path, etag = f"{_VISITS}/{made['appointment_id']}", made["etag"]
        for step in ("check-in", "complete"):
            etag = self.done("POST", f"{path}/{step}", match=etag)["etag"]
        coming = self._booked(self.slot(timedelta(days=3)), self.patient_id)
        self.ids["coming_id"] = coming["appointment_id"]
        soon = datetime.fromisoformat(coming["starts_at"]) - timedelta(hours=1, minutes=50)
        with frozen(soon):
            assert 1 == self.platform.services["appointment"].jobs["remind"].run()
            self.platform.drain()
        later = datetime.now(UTC) + timedelta(days=9)
        window = {"starts_at": later.isoformat(), "ends_at": (later + timedelta(1)).isoformat()}
        body = {
            "patient_id": self.patient_id,
            "clinic_id": self.clinic_id,
            "type_id": self.type_id,
            "windows": [window],
            "note": "quillfeather wish",
        }
        asked = self.done("POST", f"{_VISITS}/requests", body, by="person")
        self.ids["request_id"] = asked["request_id"]

    def _waits(self) -> None:
        """She waits for another's slot, and is offered it."""
        theirs = self._booked(self.slot(timedelta(days=5)), self.other_id)
        body = {
            "patient_id": self.patient_id,
            "clinic_id": self.clinic_id,
            "type_id": self.type_id,
            "windows": [{name: theirs[name] for name in ("starts_at", "ends_at")}],
        }
        wish = self.done("POST", f"{_VISITS}/waitlist", body, by="person")
        path = f"{_VISITS}/{theirs['appointment_id']}/cancel"
        self.done("POST", path, {}, match=theirs["etag"])
        self.platform.services["appointment"].jobs["offer-freed-slots"].run()
        self.platform.drain()
        found = self.done("GET", f"{_VISITS}/waitlist/{wish['wish_id']}", by="person")
        self.ids |= {"wish_id": wish["wish_id"], "offer_id": found["offer"]["offer_id"]}

    def _chart(self) -> None:
        path = f"/api/dental-records/{self.patient_id}"
        caries = {"tooth": "36", "surfaces": ["O"], "code": "K02.1", "note": "quillfeather caries"}
        found = self.done("POST", f"{path}/problems", caries, by="dentist")
        self.ids["problem_id"] = found["problem_id"]
        filling = {
            "procedure": "FILLING",
            "teeth": [{"tooth": "36", "surfaces": ["O"]}],
            "materials": [{"name": "quillfeather resin", "lot": "LOT-QUILL-1"}],
            "note": "quillfeather filling",
        }
        made = self.done("POST", f"{path}/interventions", filling, by="dentist")
        self.ids["intervention_id"] = made["intervention_id"]

    def _images(self) -> None:
        """One in the record, one that waits for a decision, one that was never completed."""
        self.file = dicom(patient_id=self.patient_id, patient_name="Quillfeather^Zenobiella")
        self.ids["xray_id"] = self.upload(self.file, "application/dicom")
        self.ids["held_id"] = self.upload(
            dicom(patient_name="Quillfeather^Else"), "application/dicom"
        )
        self.upload(raster("PNG"), "image/png", complete=False)

    def upload(self, data: bytes, kind: str, *, complete: bool = True) -> str:
        """An image's id."""
        body = {
            "patient_id": self.patient_id,
            "content_type": kind,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "note": "quillfeather image",
        }
        made = self.done("POST", _XRAYS, body, by="dentist")
        self.upload_url = urlsplit(made["upload"]["url"])
        assert 200 == self.put(data, kind)
        if complete:
            self.done("POST", f"{_XRAYS}/{made['xray_id']}/complete", by="dentist")
        return str(made["xray_id"])

    def put(self, data: bytes, kind: str) -> int:
        """Send it to the URL of the last upload."""
        url = self.upload_url
        sent = self.gateway.open(
            url.path, method="PUT", query_string=url.query, data=data, content_type=kind
        )
        return sent.status_code

    def fetched(self, url: str) -> bytes:
        """What a signed URL gives."""
        parts = urlsplit(url)
        answer = self.gateway.open(parts.path, query_string=parts.query)
        assert 200 == answer.status_code, answer.text
        found: bytes = answer.data
        return found

    def download(self, url: str) -> Iterator[bytes]:
        """The same in parts, as an archive's maker has it."""
        yield self.fetched(url)

    def _plan(self) -> None:
        item = {"procedure": "quillfeather filling", "tooth": "36", "price": 100}
        offer = {
            "patient_id": self.patient_id,
            "clinic_id": self.clinic_id,
            "currency": "RON",
            "title": "quillfeather plan",
            "phases": [{"title": "quillfeather phase", "items": [item]}],
        }
        made = self.done("POST", _PLANS, offer, by="dentist")
        self.ids["treatment_id"] = made["treatment_id"]
        version = {"plan_version": made["plan_version"]}
        self.done("POST", f"{_PLANS}/{made['treatment_id']}/accept", version, by="person")
        who = self.call("GET", f"/api/patients/{self.patient_id}/allergies", by="person")
        listed = {"name": "quillfeather latex", "criticality": "high"}
        told = {"status": "LISTED", "allergies": [listed]}
        path = f"/api/patients/{self.patient_id}/allergies"
        self.done("PUT", path, told, by="dentist", match=who.headers["ETag"])
        body = {
            "patient_id": self.patient_id,
            "clinic_id": self.clinic_id,
            "drug": {"name": "zenobiella drops", "code": "J01FF01"},
            "form": "capsule",
            "strength": "300 mg",
            "dose": {"value": 1, "unit": "capsule"},
            "route": "oral",
            "timing": {"frequency": 3},
            "duration": {"value": 7},
        }
        made = self.done("POST", f"{_PLANS}/prescriptions", body, by="dentist")
        self.ids["prescription_id"] = made["prescription_id"]
