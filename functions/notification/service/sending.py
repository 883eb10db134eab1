"""Sending what is due: claimed, confirmed, handed to the provider outside any transaction, marked.

A mail may leave twice where a process dies between the provider's answer and the mark, never
not at all; both copies carry the same Message-ID, by which mail programs tell that they are one.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import parseaddr
from typing import cast
from urllib.parse import urlsplit

from functions.notification.domain.choices import MOST_ATTEMPTS, delay_after
from functions.notification.domain.notices import BY_KIND
from functions.notification.service import facts as sealing
from functions.notification.service.composing import compose
from functions.notification.service.facts import Facts
from functions.notification.service.smtp import Mailer, MailFailed, MailRefused
from functions.notification.store import deliveries
from shared import faults, log
from shared.client import client
from shared.config import config
from shared.contracts.notification import DeliverEmail, NotificationSent
from shared.crypto import Unreadable
from shared.db import Row, Tx
from shared.dead_letters import Letter, store_in
from shared.errors import NotFound, Unavailable
from shared.messages import envelope
from shared.privacy import guard
from shared.runtime import database, vault
from shared.telemetry import counted
from shared.types import Language

__all__ = ["send_due"]

_AT_ONCE_S = 20.0  # how long one call goes on
_PASSES = 3
_AWAY_S = 5.0  # until what we need to ask another service for is asked for again
_turn = threading.Lock()
_wanted = threading.Event()


class _Nobody(Exception):
    """There is no address to send this to; the text says why."""


class _Later(Exception):
    """Nothing can be sent now."""


def send_due() -> int:
    """Send what is due; how many mails have left.

    One thread of a process does so at a time. Another leaves it to that one, which looks again.
    """
    _wanted.set()
    count = 0
    for _ in range(_PASSES):
        if not _wanted.is_set() or not _turn.acquire(blocking=False):
            break
        try:
            _wanted.clear()
            count += _send_all()
        finally:
            _turn.release()
    return count


def _send_all() -> int:
    count, until = 0, time.monotonic() + _AT_ONCE_S
    db = database("notification")
    host = urlsplit(config().public_url).hostname or "localhost"
    with Mailer(config().required("SMTP_URL"), host) as mailer:
        while time.monotonic() < until and (row := deliveries.claim(db)) is not None:
            with log.context(correlation=row["correlation_id"], causation=str(row["event_id"])):
                try:
                    count += _send(row, mailer)
                except _Later:
                    break
    return count


def _send(row: Row, mailer: Mailer) -> bool:
    """Send one claimed delivery; whether it has left. Raises _Later."""
    db = database("notification")
    try:
        composed = _composed(row, mailer)
        if composed is None:
            return False
        message, address = composed
        sender = parseaddr(config().required("MAIL_FROM"))[1]
        mailer.send(message, sender=sender, recipient=address)
    except Unavailable as away:
        deliveries.postpone(db, row, _AWAY_S)
        _noted(log.warning, "postponed", row, type(away).__name__)
        raise _Later from None
    except _Nobody as nobody:
        deliveries.skip(db, row, str(nobody))
        _noted(log.info, "skipped", row, str(nobody))
        return False
    except MailRefused as refused:
        _give_up(row, str(refused))
        return False
    except MailFailed as failure:
        _put_off(row, str(failure))
        if failure.away:
            # The others would meet it, too.
            raise _Later from None
        return False
    except Exception as error:  # noqa: BLE001 -- one that always fails must end, too
        log.error("mail_failed", exc=error, kind=row["kind"])
        _put_off(row, type(error).__name__)
        return False
    faults.point("mail.accepted")
    return _mark(row)


def _composed(row: Row, mailer: Mailer) -> tuple[EmailMessage, str] | None:
    """The mail of ``row`` and where it goes, or None where it is not ours to send any more.

    Raises _Nobody, Unavailable, MailFailed, MailRefused.
    """
    try:
        contact = client("notification").get("auth", f"/-/contacts/{row['person_id']}")
    except NotFound:
        # Whoever was erased goes from here, too. Otherwise it is no word to rely on: auth without
        # its route, in the middle of a deployment, answers the same. What it was is lost for good
        # if it is skipped, and may warn somebody.
        raise MailFailed("no account", away=False) from None
    if contact["email"] is None and row["recipient"] == "CURRENT":
        raise _Nobody("no address")
    mailer.open()
    # The last look before it leaves: somebody who was erased meanwhile is written to no more, and
    # nobody reminded of what was cancelled.
    found = deliveries.confirm(database("notification"), row)
    if found is None:
        return None
    address, facts = _unsealed(row, found)
    if found["outdated"] or sealing.late(BY_KIND[row["kind"]], facts):
        raise _Nobody("out of date")
    language = cast("Language", contact["language"])
    to = address or str(contact["email"])
    return compose(row["id"], row["kind"], to, language, _with_clinic(facts)), to


def _unsealed(row: Row, found: Row) -> tuple[str | None, Facts]:
    """(the address that is not the person's any more, what the text needs). Raises _Nobody."""
    if found["address"] is None and found["link"] is None and found["facts"] is None:
        return None, {}
    try:
        key = sealing.key_of(row["person_id"], found)
        link = key.unseal("link", found["link"])
        facts = sealing.unseal(key, found["facts"])
        address = key.unseal("address", found["address"])
    except Unreadable:
        raise _Nobody("no key") from None
    return address, facts if link is None else {**facts, "link": link}


def _with_clinic(facts: Facts) -> Facts:
    """The clinic by its name, asked for where our replica had none. Raises Unavailable."""
    if "clinic" in facts or "clinic_id" not in facts:
        return facts
    try:
        clinic = client("notification").get("auth", f"/clinics/{facts['clinic_id']}")
    except NotFound:
        return facts
    return {**facts, "clinic": clinic["name"]}


def _mark(row: Row) -> bool:
    """It has left: nobody sends it again, and others are told."""

    def work(tx: Tx) -> bool:
        told = deliveries.sent(tx, row)
        if told is None:
            return False
        sent = NotificationSent(
            person_id=row["person_id"],
            notification_id=row["id"],
            kind=row["kind"],
            channel="EMAIL",
        )
        tx.emit(sent, version=told)
        return True

    marked = database("notification").transaction(work, isolation="READ COMMITTED")
    _noted(log.info, "sent", row, None)
    return marked


def _put_off(row: Row, reason: str) -> None:
    """Try again later and later, and then no more."""
    attempts = row["attempts"] + 1
    if attempts >= MOST_ATTEMPTS:
        _give_up(row, reason)
        return
    wait = delay_after(attempts, random.random())  # nosec B311
    deliveries.failed(database("notification"), row, reason, wait)
    _noted(log.warning, "failed", row, reason)


def _give_up(row: Row, reason: str) -> None:
    """An operator decides: redriving the dead letter sends it."""

    def work(tx: Tx) -> None:
        # First, as an erasure does it, or each would wait for the other.
        tx.batch(guard(row["person_id"]))
        if deliveries.dead(tx, row, reason):
            command = DeliverEmail(delivery_id=row["id"], person_id=row["person_id"])
            env = envelope(command, source="notification")
            letter = Letter.of(
                env, f"mail: {reason}", topic="notification", attempts=row["attempts"] + 1
            )
            store_in(tx, vault("notification"), letter)

    database("notification").transaction(work, isolation="READ COMMITTED")
    _noted(log.error, "dead", row, reason)


def _noted(say: Callable[..., None], outcome: str, row: Row, reason: str | None) -> None:
    say("mail", outcome=outcome, kind=row["kind"], attempts=row["attempts"], reason=reason)
    counted("dentalhelp.mail.sent", outcome=outcome)
