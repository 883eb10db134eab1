"""The past of the calendar: appointments and requests. What is over takes nobody's time, so there
is no slot for it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from functions.appointment.store.windows import literal
from infra.seed.bulk import Batch, Patient
from infra.seed.visits import Asked, Visit
from infra.seed.words import KINDS

__all__ = ["appointment_id", "collect", "request_id"]


def collect(batch: Batch, people: Sequence[Patient]) -> None:
    """What is missing of these people's appointments and requests."""
    visits = {
        appointment_id(who, visit): (who, visit) for who in people for visit in who.year.visits
    }
    for who, visit in batch.missing("appointments", "appointment_id", visits):
        _appointment(batch, who, visit)
    asked = {request_id(who, each): (who, each) for who in people for each in who.year.asked}
    for who, each in batch.missing("appointment_requests", "request_id", asked):
        _request(batch, who, each)


def appointment_id(who: Patient, visit: Visit) -> UUID:
    """Of a visit."""
    return who.id("appointment", visit.turn, visit.booked_at)


def request_id(who: Patient, asked: Asked) -> UUID:
    """Of a request."""
    return who.id("request", asked.turn, asked.made_at)


def _appointment(batch: Batch, who: Patient, visit: Visit) -> None:
    desk, seat, key = who.desk, who.year.seat, batch.key(who)
    kind = KINDS[visit.kind]
    changed = visit.cancelled_at or visit.ends_at
    batch.add(
        "appointments",
        appointment_id=appointment_id(who, visit),
        version=1 + visit.changes,
        patient_id=who.patient_id,
        clinic_id=desk.clinic.clinic_id,
        practitioner_id=who.dentist,
        type_id=desk.types[visit.kind],
        chair_id=desk.chairs[seat.dentist],
        starts_at=visit.starts_at,
        ends_at=visit.ends_at,
        status=visit.status,
        amount=desk.clinic.price(kind.price),
        currency=desk.clinic.currency,
        note=key.seal("note", visit.note),
        cancellation_reason=key.seal("cancellation_reason", visit.reason),
        cancelled_by=visit.cancelled_by,
        cancelled_at=visit.cancelled_at,
        acknowledged_at=visit.booked_at + (visit.starts_at - visit.booked_at) * 0.9
        if visit.acknowledged
        else None,
        booked_by=who.patient_id if visit.by_patient else who.receptionist,
        booked_at=visit.booked_at,
        timed_at=visit.booked_at,
        changed_at=changed,
        reminders=0,
    )
    batch.note(who, "create", "appointment")
    batch.note(who, "write", *["appointment"] * visit.changes)


def _request(batch: Batch, who: Patient, asked: Asked) -> None:
    key, visit = batch.key(who), asked.visit
    batch.add(
        "appointment_requests",
        request_id=request_id(who, asked),
        version=2,
        patient_id=who.patient_id,
        clinic_id=who.desk.clinic.clinic_id,
        type_id=who.desk.types[asked.kind],
        practitioner_id=who.dentist if asked.turn % 2 else None,
        windows=literal(asked.windows),
        note=key.seal("appointment_requests.note", asked.note),
        status=asked.status,
        reason=key.seal("appointment_requests.reason", asked.reason),
        appointment_id=None if visit is None else appointment_id(who, who.year.visits[visit]),
        made_at=asked.made_at,
        decided_by=who.patient_id if asked.status == "WITHDRAWN" else who.receptionist,
        decided_at=asked.decided_at,
    )
    batch.note(who, "create", "appointment request")
    batch.note(who, "write", "appointment request")
