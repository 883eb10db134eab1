"""Something may be kept about patients, and about nobody else."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from shared.contracts.auth import UserRemoved
from shared.contracts.patient import PatientRegistered
from shared.errors import NotFound, Unavailable
from shared.known_people import must_be_patient
from shared.messages import Event, envelope
from shared.privacy import PersonErased
from tests.platform import Platform

SERVICE = "dental_records"


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """A service that keeps something about patients, and those who know them."""
    return Platform(service_db, services=("auth", "patient", SERVICE))


def _told(platform: Platform, *events: Event) -> None:
    for event in events:
        topic = type(event).topic()
        platform.bus.publish(topic, [envelope(event, source=topic, version=1)])
    platform.drain()


def test_who_was_heard_of_is_known(platform: Platform) -> None:
    """A registration makes a patient known, and nobody has to be asked then."""
    patient = UUID(platform.register("heard@example.com")["patient_id"])
    platform.away = {"patient"}
    try:
        must_be_patient(SERVICE, patient)
        with pytest.raises(Unavailable):
            must_be_patient(SERVICE, uuid4())
    finally:
        platform.away = set()


def test_who_was_not_heard_of_yet_is_asked_for_once(platform: Platform) -> None:
    """A message that is late keeps nobody from being treated."""
    platform.away = {SERVICE}
    patient = UUID(platform.register("late@example.com")["patient_id"])
    platform.away = set()
    must_be_patient(SERVICE, patient)
    platform.away = {"patient"}
    try:
        must_be_patient(SERVICE, patient)
    finally:
        platform.away = set()


def test_a_repeatable_request_may_ask_first(platform: Platform) -> None:
    """Asking is no part of the request's own transaction: one with a key is carried out once."""
    platform.away = {SERVICE}
    patient = platform.register("unheard@example.com")["patient_id"]
    platform.away = set()
    dentist = platform.staff("dentist@example.com", {"role": "DENTIST"})
    path, headers = f"/api/dental-records/{patient}/problems", {"Idempotency-Key": str(uuid4())}
    body = {"tooth": "16", "surfaces": ["O"], "code": "K02.1"}
    first, again = (
        platform.call("POST", path, body, token=dentist, headers=headers) for _ in range(2)
    )
    assert (201, 201, first.json) == (first.status_code, again.status_code, again.json)
    stranger = platform.call("POST", path.replace(patient, str(uuid4())), body, token=dentist)
    assert 404 == stranger.status_code


def test_nobody_is_taken_for_a_patient(platform: Platform) -> None:
    """An id that is no patient's is refused, and is not remembered."""
    stranger = uuid4()
    for _ in range(2):
        with pytest.raises(NotFound):
            must_be_patient(SERVICE, stranger)


@pytest.mark.parametrize("late", [False, True])
def test_a_failed_registration_leaves_no_patient(platform: Platform, *, late: bool) -> None:
    """In whatever order one hears that somebody registered and was removed, there is nobody."""
    person = uuid4()
    events: list[Event] = [PatientRegistered(patient_id=person), UserRemoved(person_id=person)]
    _told(platform, *(reversed(events) if late else events))
    with pytest.raises(NotFound):
        must_be_patient(SERVICE, person)


def test_who_was_erased_does_not_come_back(platform: Platform) -> None:
    """Behind an erasure nothing more may be kept, and the row that knew the person is gone."""
    db, person = platform.databases[SERVICE], uuid4()
    _told(platform, PatientRegistered(patient_id=person))
    privacy = platform.services[SERVICE].privacy
    db.transaction(lambda tx: privacy.erase(tx, person, uuid4()), isolation="READ COMMITTED")
    assert [] == db.all("select from known_people where person_id = :person", person=person)
    with pytest.raises(PersonErased):
        must_be_patient(SERVICE, person)
