"""Sending what is due: claimed, confirmed, handed to the provider outside any transaction, marked.

A mail may leave twice where a process dies between the provider's answer and the mark, never
not at all; both copies carry the same Message-ID, by which mail programs tell that they are one.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import cast

from functions.notification.domain import MOST_ATTEMPTS, Kind, delay_after
from functions.notification.service import texts
from functions.notification.service.smtp import Mailer, MailFailed, MailRefused
from functions.notification.store import deliveries
from shared import faults, log
from shared.client import client
from shared.clocks import clock
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
    with Mailer(config().required("SMTP_URL")) as mailer:
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
    # The last look before it leaves: somebody who was erased meanwhile is written to no more.
    found = deliveries.confirm(database("notification"), row)
    if found is None:
        return None
    address, link = str(contact["email"]), None
    if found["address"] is not None or found["link"] is not None:
        try:
            key = vault("notification").subject(
                row["person_id"], found["key_version"], found["key_wrapped"]
            )
            address = key.unseal("address", found["address"]) or address
            link = key.unseal("link", found["link"])
        except Unreadable:
            raise _Nobody("no key") from None
    return _compose(row, address, cast("Language", contact["language"]), link), address


def _compose(row: Row, address: str, language: Language, link: str | None) -> EmailMessage:
    """The message (RFC 5322), the same on every try. Raises MailRefused for what is no address."""
    content = texts.mail(cast("Kind", row["kind"]), language, link)
    sender = config().required("MAIL_FROM")
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message = EmailMessage(policy=SMTP)
    try:
        message["To"] = Address(addr_spec=address)
    except (ValueError, HeaderParseError):
        raise MailRefused("not an address") from None
    message["From"] = sender
    message["Subject"] = content.subject
    message["Date"] = format_datetime(clock().now())
    message["Message-ID"] = f"<{row['id']}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notes, please
    message.set_content(content.text, cte="quoted-printable")
    message.add_alternative(content.html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = language  # last: whatever is said of the content is moved inside
    return message


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
