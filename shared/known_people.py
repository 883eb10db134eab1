"""Which patients there are, for services that keep something about them.

A service that makes a patient's first row asks here first, so that nobody gets a chart, a booking
or an image under an id that is no patient's::

    on = Subscriptions("xray")
    follow_patients(on)                      # handlers.py: hear of registrations

    must_be_patient("xray", patient_id)      # service: before the transaction, not in it
    database("xray").transaction(work, isolation="READ COMMITTED")  # begins with alive(tx, person)

What a service has heard is a row of its own. Messages may be late, so of an unheard id it asks
patient itself, whose route ``GET /-/exists/{patient_id}`` names the services that may. An erasure
deletes the row, and its tombstone answers from then on.
"""

from __future__ import annotations

from uuid import UUID

from shared.client import client
from shared.contracts.auth import UserRemoved
from shared.contracts.patient import PatientRegistered
from shared.db import Tx
from shared.errors import NotFound
from shared.handles import database
from shared.inbox import Subscriptions
from shared.privacy import PersonErased, alive

__all__ = ["follow_patients", "must_be_patient"]

_KNOWN = """
select exists (select from known_people where person_id = :person and not gone) as known,
       exists (select from erased_people where person_id = :person) as erased
"""
_HEARD = "insert into known_people (person_id) values (:person) on conflict do nothing"
# An account is removed when its registration failed, and patient's part is undone without a word.
_GONE = """
insert into known_people (person_id, gone) values (:person, true)
on conflict (person_id) do update set gone = true
"""


def follow_patients(on: Subscriptions) -> None:
    """Let the service of ``on`` hear who becomes a patient, and whose registration failed; in any
    order."""

    @on(PatientRegistered)
    def note_patient(event: PatientRegistered, tx: Tx) -> None:
        """Something may be kept about this patient."""
        tx.run(_HEARD, person=event.patient_id)

    @on(UserRemoved)
    def forget_patient(event: UserRemoved, tx: Tx) -> None:
        """The registration failed: there is no such patient, even if one is heard of later."""
        tx.run(_GONE, person=event.person_id)


def must_be_patient(service: str, person: UUID) -> None:
    """Return if there is this patient: as ``service`` has heard, or as patient says now.

    Comes before the transaction that needs it: it may ask over the network. Raises NotFound,
    PersonErased, Unavailable where patient does not answer.
    """
    row = database(service).one(_KNOWN, person=person) or {}
    if row.get("erased"):
        raise PersonErased
    if row.get("known"):
        return
    try:
        client(service).get("patient", f"/-/exists/{person}")
    except NotFound:
        raise NotFound("There is no such patient.") from None

    def heard(tx: Tx) -> None:
        alive(tx, person)
        tx.run(_HEARD, person=person)

    # Apart from the request's own transaction, whatever its isolation level is.
    database(service).apart(heard, isolation="READ COMMITTED")
