"""What staff are told: receptionists of what patients ask, the invited of their link."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.notification.main import service
from shared.contracts.appointment import AppointmentRequestDeclined, AppointmentRequested
from shared.contracts.auth import ClinicUpdated, HeldRole, RolesChanged
from tests.mail_server import MailServer
from tests.notification_stack import Clinic, clinic_fixture
from tests.platform import PASSWORD

HERE = {"address": "Str. Lungă 1", "time_zone": "Europe/Bucharest", "languages": ["ro", "en"]}

clinic = clinic_fixture()


@pytest.fixture(scope="module")
def admin(clinic: Clinic) -> str:
    """A group-wide ADMIN's token."""
    return clinic.admin()


def _place(clinic: Clinic, admin: str) -> str:
    body = {"name": f"Clinic {uuid4()}", **HERE}
    made = clinic.call("POST", "/api/auth/clinics", body, token=admin)
    assert 201 == made.status_code, made.text
    return str((made.json or {})["id"])


def _staff(clinic: Clinic, admin: str, role: str, place: str | None, **more: Any) -> UUID:
    body = {
        "email": f"s{uuid4().hex[:8]}@example.com",
        "first_name": "Ion",
        "last_name": "Ionescu",
        "password": PASSWORD,
        "roles": [{"role": role, "clinic_id": place}],
        **more,
    }
    made = clinic.call("POST", "/api/auth/users", body, token=admin)
    assert 201 == made.status_code, made.text
    clinic.drain()
    return UUID((made.json or {})["id"])


def _asks(clinic: Clinic, patient: UUID, place: str) -> UUID:
    """A patient asks the clinic; the request's id."""
    asked = AppointmentRequested(request_id=uuid4(), patient_id=patient, clinic_id=UUID(place))
    clinic.happens(asked, version=1)
    return asked.request_id


def _told(clinic: Clinic, request: UUID) -> set[UUID]:
    """Who has been told of it in the app."""
    rows = clinic.db.all("select person_id from notifications where about = :id", id=request)
    assert len(rows) == len({row["person_id"] for row in rows})
    return {row["person_id"] for row in rows}


def _roles(person: UUID, place: str | None, *roles: str) -> RolesChanged:
    return RolesChanged(
        person_id=person,
        roles=[HeldRole.model_validate({"role": role, "clinic_id": place}) for role in roles],
    )


def test_reception_hears_of_a_request(clinic: Clinic, mail: MailServer, admin: str) -> None:
    """Receptionists of that clinic and of the whole group, by both channels, and nobody else."""
    here, there = _place(clinic, admin), _place(clinic, admin)
    desk = _staff(clinic, admin, "RECEPTIONIST", here, email="desk@example.com", language="ro")
    group = _staff(clinic, admin, "RECEPTIONIST", None)
    for role, place in (("DENTIST", here), ("ADMIN", here), ("RECEPTIONIST", there)):
        _staff(clinic, admin, role, place)
    gone = _staff(clinic, admin, "RECEPTIONIST", here)
    path = f"/api/auth/users/{gone}/deactivate"
    assert 204 == clinic.call("POST", path, token=admin).status_code
    clinic.drain()
    patient = clinic.person("asks@example.com")
    request = _asks(clinic, patient, here)
    assert {desk, group} == _told(clinic, request)
    [sent] = mail.to("desk@example.com")
    assert "Un pacient solicită o programare" == sent.message["Subject"]
    assert [] == mail.to("asks@example.com")
    [item] = clinic.inbox(clinic.token("desk@example.com"))["items"]
    assert ("APPOINTMENT_REQUESTED", str(request)) == (item["kind"], item["about"])
    assert "Clinic " in item["text"]
    assert str(patient) not in str(clinic.db.all("select * from notifications"))
    # Reactivated, the desk is manned again.
    assert (
        204
        == clinic.call("POST", path.replace("deactivate", "reactivate"), token=admin).status_code
    )
    clinic.drain()
    assert {desk, group, gone} == _told(clinic, _asks(clinic, patient, here))
    for person in (desk, group, gone):
        clinic.happens(_roles(person, None, "DENTIST"), version=100)


def test_a_request_that_was_answered_is_not_news(
    clinic: Clinic, mail: MailServer, admin: str
) -> None:
    """Reception is not sent to look for what is declined already, in whatever order it arrives."""
    here = _place(clinic, admin)
    _staff(clinic, admin, "RECEPTIONIST", here)
    patient, request = clinic.person("late@example.com"), uuid4()
    known = {"request_id": request, "patient_id": patient, "clinic_id": UUID(here)}
    clinic.happens(AppointmentRequestDeclined(**known, reason="Full."), version=2)
    clinic.happens(AppointmentRequested(**known), version=1)
    assert {patient} == _told(clinic, request)


def test_roles_never_go_backwards(clinic: Clinic, admin: str) -> None:
    """Of roles that arrive in another order the newest count, repeated or not."""
    here, person = str(uuid4()), uuid4()
    patient = clinic.person("order@example.com")
    clinic.happens(_roles(person, here, "DENTIST"), version=3)
    clinic.happens(_roles(person, here, "RECEPTIONIST"), version=2)
    assert set() == _told(clinic, _asks(clinic, patient, here))
    clinic.happens(_roles(person, here, "RECEPTIONIST", "ADMIN"), version=5)
    clinic.happens(_roles(person, here), version=4)
    assert {person} == _told(clinic, _asks(clinic, patient, here))


def test_a_clinic_s_name_never_goes_backwards(clinic: Clinic) -> None:
    """Of names that arrive in another order the newest counts."""
    place = uuid4()
    for version, name in ((2, "New"), (1, "Old"), (2, "Same again")):
        event = ClinicUpdated(
            clinic_id=place, name=name, time_zone="Europe/Bucharest", languages=["ro"]
        )
        clinic.happens(event, version=version)
    row = clinic.db.one("select name, version from clinics where clinic_id = :id", id=place)
    assert {"name": "New", "version": 2} == row


def test_a_receptionist_who_was_erased(clinic: Clinic, admin: str) -> None:
    """Nothing of them stays, roles that come late do not come back, and nobody writes to them."""
    here = _place(clinic, admin)
    person = _staff(clinic, admin, "RECEPTIONIST", here)
    patient = clinic.person("still@example.com")
    assert {person} == _told(clinic, _asks(clinic, patient, here))
    answer = clinic.call("POST", "/api/auth/erasures", {"patient_id": str(person)}, token=admin)
    assert 202 == answer.status_code, answer.text
    clinic.drain()
    assert {} == service.privacy.remains(clinic.db, person)
    clinic.happens(_roles(person, here, "RECEPTIONIST"), version=9)
    # Even a replica that says otherwise does not bring them back.
    clinic.db.all(
        "insert into receptionists values (:person, 9, :places)", person=person, places=[here]
    )
    assert set() == _told(clinic, _asks(clinic, patient, here))
    clinic.db.all("delete from receptionists where person_id = :person", person=person)


def test_what_somebody_asked_who_was_erased(clinic: Clinic, admin: str) -> None:
    """A request that arrives behind its patient's erasure is told to nobody."""
    here = _place(clinic, admin)
    _staff(clinic, admin, "RECEPTIONIST", here)
    patient = clinic.person("never@example.com")
    answer = clinic.call("POST", "/api/auth/erasures", {"patient_id": str(patient)}, token=admin)
    assert 202 == answer.status_code, answer.text
    clinic.drain()
    assert set() == _told(clinic, _asks(clinic, patient, here))


def test_staff_are_sent_their_invitation(clinic: Clinic, mail: MailServer, admin: str) -> None:
    """Who was made without a password is sent the link, a newer one too, and then welcomed."""
    clinic.mail.mails.clear()
    person = _staff(
        clinic, admin, "DENTIST", None, email="new@example.com", language="id", password=None
    )
    again = clinic.call("POST", f"/api/auth/users/{person}/invitation", token=admin)
    clinic.drain()
    link = (again.json or {})["link"]
    first, second = mail.to("new@example.com")
    assert "Undangan Anda ke DentalHelp" == first.message["Subject"]
    assert link in second.part("plain").splitlines()
    assert link not in first.part("plain")
    body = {"token": link.partition("#")[2], "password": PASSWORD}
    assert 204 == clinic.call("POST", "/api/auth/invitations/accept", body).status_code
    clinic.drain()
    assert "Selamat datang di DentalHelp" == mail.to("new@example.com")[2].message["Subject"]
