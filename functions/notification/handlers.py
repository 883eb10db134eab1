"""What notification does when a message arrives: it tells the person, once for each channel."""

from __future__ import annotations

from collections.abc import Callable

from functions.notification.domain.notices import BY_KIND, NOTICES, SETTLING, Notice
from functions.notification.service import news, notify
from functions.notification.service.notify import News
from functions.notification.store import replicas
from shared.contracts.auth import ClinicUpdated, RolesChanged
from shared.contracts.notification import DeliverEmail, SendInvitation, SendWelcome
from shared.db import Tx
from shared.inbox import Subscriptions, message_id
from shared.messages import Event, Metadata

__all__ = ["on"]

on = Subscriptions("notification")


def _teller(notice: Notice) -> Callable[[Event, Tx, Metadata], None]:
    def tell(event: Event, tx: Tx, meta: Metadata) -> None:
        news.tell(notice, event, tx, meta.aggregate_version)

    return tell


def _settle(event: Event, tx: Tx, meta: Metadata) -> None:
    """Nobody is told of this, but what was to be told before may be out of date."""
    news.holds(event, tx, meta.aggregate_version)


for _notice in NOTICES:
    on(_notice.event)(_teller(_notice))
for _event in SETTLING - {notice.event for notice in NOTICES}:
    on(_event)(_settle)


@on.command(SendWelcome, sender="auth")
def send_welcome(command: SendWelcome, tx: Tx) -> None:
    """By e-mail, where there is an address; not if the activation has done so."""
    welcome = News(BY_KIND["WELCOME"], command.person_id, {})
    notify.tell(tx, command.person_id, welcome, ("EMAIL",))


@on.command(SendInvitation, sender="auth")
def send_invitation(command: SendInvitation, tx: Tx, meta: Metadata) -> None:
    """The link is kept sealed until it has left. A saga may command the same again under another
    id; it means one mail."""
    cause = message_id() if meta.saga is None else meta.saga.saga_id
    notify.tell(tx, command.person_id, News(BY_KIND["INVITATION"], cause, {"link": command.link}))


# On our own topic: nobody but the redriving of a dead letter sends it.
@on.register(DeliverEmail, frozenset({"notification"}))
def deliver_email(command: DeliverEmail, tx: Tx) -> None:
    """An operator wants an e-mail that was given up to be tried again."""
    notify.retry(tx, command.delivery_id)


@on(RolesChanged)
def follow_reception(event: RolesChanged, tx: Tx, meta: Metadata) -> None:
    """Who is told what patients ask of a clinic."""
    places = {held.clinic_id for held in event.roles if held.role == "RECEPTIONIST"}
    named = sorted("*" if place is None else str(place) for place in places)
    replicas.follow_reception(tx, event.person_id, meta.version(), named)


@on(ClinicUpdated)
def follow_clinic(event: ClinicUpdated, tx: Tx, meta: Metadata) -> None:
    """What texts call the clinic."""
    replicas.follow_clinic(tx, event.clinic_id, meta.version(), event.name)
