"""What a patient is told is theirs: sealed, unnamed in mails, told as they choose, erased."""

from __future__ import annotations

from uuid import uuid4

from functions.notification.main import service
from shared.contracts.appointment import (
    AppointmentCancelled,
    AppointmentConfirmed,
    AppointmentReminderDue,
)
from shared.contracts.treatment import PrescriptionIssued, TreatmentAccepted, TreatmentPlanned
from shared.runtime import vault
from tests.integration.visit_stack import (
    CLINIC,
    LINK,
    arranged,
    invitation,
    known_clinic_fixture,
    subjects,
)
from tests.mail_server import MailServer
from tests.notification_stack import Clinic

clinic = known_clinic_fixture()


def test_facts_rest_sealed(clinic: Clinic, mail: MailServer) -> None:
    """When, where and the link are sealed while a mail waits, exported without the link, and gone
    from the mail's row when it has left."""
    ian = clinic.person("ian@example.com")
    mail.stop()
    clinic.happens(AppointmentReminderDue(**arranged(ian), hours_before=2, link=LINK), version=1)
    [row] = clinic.deliveries(ian)
    assert None not in (row["facts"], row["link"])
    [shown] = clinic.db.all("select * from notifications where person_id = :p", p=ian)
    plain = "".join(map(_readable, (*row.values(), *shown.values())))
    assert not [word for word in ("2037-01-05", "Centru & Co", "clinic.example") if word in plain]
    found = service.privacy.export(clinic.db, vault("notification"), ian)
    assert "Centru & Co" in found["notifications"][0]["facts"]
    assert "Centru & Co" in found["deliveries"][0]["facts"]
    assert LINK not in str(found)
    mail.start()
    assert 1 == clinic.send_now()
    [row] = clinic.deliveries(ian)
    assert (None, None) == (row["facts"], row["link"])


def _readable(value: object) -> str:
    """A column's value as somebody reads it who has no key."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def test_plans_and_prescriptions_are_not_named_by_mail(clinic: Clinic, mail: MailServer) -> None:
    """A mail says that something waits; what it is stands in the app. Only the newest plan does."""
    ned = clinic.person("ned@example.com")
    plan = {"treatment_id": uuid4(), "patient_id": ned, "clinic_id": CLINIC}
    mail.stop()
    clinic.happens(TreatmentPlanned(**plan, plan_version=1), version=1)
    clinic.happens(TreatmentPlanned(**plan, plan_version=2), version=2)
    mail.start()
    assert 1 == clinic.send_now()
    clinic.happens(TreatmentAccepted(**plan, plan_version=2), version=3)
    issued = PrescriptionIssued(prescription_id=uuid4(), patient_id=ned, clinic_id=CLINIC)
    clinic.happens(issued, version=1)
    assert [
        "A plan is waiting for your consent",
        "A new document is ready for you",
    ] == subjects(mail, "ned@example.com")
    items = clinic.inbox(clinic.token("ned@example.com"))["items"]
    assert ["PRESCRIPTION_ISSUED", *["TREATMENT_PLANNED"] * 2] == [item["kind"] for item in items]
    assert items[0]["text"].startswith("A prescription for you is ready at Centru & Co.")


def test_each_kind_can_be_switched_off(clinic: Clinic, mail: MailServer) -> None:
    """Whoever wants no reminders by mail sees them in the app, and hears of the rest."""
    joe = clinic.person("joe@example.com")
    token, visit = clinic.token("joe@example.com"), arranged(joe)
    answer = clinic.call(
        "PUT",
        "/api/notifications/preferences",
        {"choices": {"APPOINTMENT_REMINDER": {"EMAIL": False}}},
        token=token,
        headers={"If-Match": '"0"'},
    )
    assert 200 == answer.status_code, answer.text
    clinic.happens(AppointmentReminderDue(**visit, hours_before=2, link=LINK), version=1)
    clinic.happens(AppointmentCancelled(**visit, cancelled_by="SYSTEM"), version=2)
    assert ["Your appointment has been cancelled"] == subjects(mail, "joe@example.com")
    assert 2 == clinic.inbox(token)["unread"]


def test_an_erasure_takes_all_of_it(clinic: Clinic, mail: MailServer) -> None:
    """Nothing of the appointment stays, and what comes late changes nothing."""
    kim = clinic.person("kim@example.com")
    visit = arranged(kim)
    mail.stop()
    clinic.happens(AppointmentConfirmed(**visit, invite=invitation("REQUEST")), version=1)
    answer = clinic.call(
        "POST", "/api/auth/erasures", {"patient_id": str(kim)}, token=clinic.admin()
    )
    assert 202 == answer.status_code, answer.text
    clinic.drain()
    mail.start()
    late = AppointmentCancelled(**visit, cancelled_by="CLINIC")
    clinic.happens(late, version=2)
    clinic.happens(AppointmentReminderDue(**visit, hours_before=2, link=LINK), version=1)
    assert 0 == clinic.send_now()
    assert {} == service.privacy.remains(clinic.db, kim)
    assert [] == clinic.db.all("select from settled where about = :id", id=visit["appointment_id"])
