"""From an event to what people are told: whom, with which facts, and whether it still holds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from functions.notification.domain.dates import known_zone
from functions.notification.domain.notices import SETTLING, Notice
from functions.notification.service import facts, notify
from functions.notification.service.notify import News
from functions.notification.store import replicas, settled
from shared.contracts.auth import EmailUpdated
from shared.db import Tx
from shared.errors import Reject
from shared.inbox import message_id
from shared.messages import Event

__all__ = ["holds", "tell"]


def tell(notice: Notice, event: Any, tx: Tx, version: int | None) -> None:
    """Tell whom ``notice`` names, if it still holds. ``version`` is that of what it is about.
    Raises Reject."""
    if not holds(event, tx, version) or (notice.when and not notice.when(event)):
        return
    found = _facts(notice, event, tx)
    if facts.late(notice, found):
        return
    person = _person(event)
    about = getattr(event, event.key)
    told = News(
        notice,
        cause=person if notice.once else message_id(),
        facts=found,
        about=None if about == person else about,
        version=version,
        language=getattr(event, "language", None),
    )
    if notice.to == "reception":
        for receptionist in replicas.reception(tx, event.clinic_id):
            notify.tell(tx, receptionist, told)
        return
    notify.tell(tx, person, told)
    if isinstance(event, EmailUpdated) and event.previous is not None:
        # The old address may be the only one its owner still reads.
        notify.mail_previous(tx, person, told, event.previous)


def holds(event: Event, tx: Tx, version: int | None) -> bool:
    """Has nothing later put ``event`` out of date? It may itself do so to what was before."""
    about, person = getattr(event, event.key), _person(event)
    if version is None or about == person:
        return True
    if type(event) in SETTLING:
        return settled.raise_to(tx, about, person, version) <= version
    return settled.version(tx, about) <= version


def _facts(notice: Notice, event: Any, tx: Tx) -> dict[str, str]:
    found = facts.taken(event, notice.facts)
    if "time_zone" in found and not known_zone(found["time_zone"]):
        raise Reject("not a time zone")
    if "clinic_id" in found:
        name = replicas.clinic_name(tx, event.clinic_id)
        if name is not None:
            found["clinic"] = name
    return found


def _person(event: Any) -> UUID:
    person: UUID = getattr(event, event.person_field())
    return person
