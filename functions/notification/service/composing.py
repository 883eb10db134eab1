"""A mail as it leaves (RFC 5322): both parts, and an invitation for the calendar."""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from uuid import UUID

from functions.notification.service import texts
from functions.notification.service.facts import Facts
from functions.notification.service.smtp import MailRefused
from shared.clocks import clock
from shared.config import config
from shared.types import Language

__all__ = ["compose"]

_METHOD = re.compile(r"^METHOD:([A-Z]+)\r?$", re.MULTILINE)


def compose(
    identity: UUID, kind: str, address: str, language: Language, facts: Facts
) -> EmailMessage:
    """The message, the same on every try. Raises MailRefused for what is no address."""
    content = texts.mail(kind, language, facts)
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
    message["Message-ID"] = f"<{identity}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notes, please
    message.set_content(content.text, cte="quoted-printable")
    message.add_alternative(content.html, subtype="html", cte="quoted-printable")
    if "invite" in facts:
        _attach(message, facts["invite"])
    message["Content-Language"] = language  # last: whatever is said of the content is moved inside
    return message


def _attach(message: EmailMessage, invite: str) -> None:
    """An iCalendar object, whose method stands in the header, too (RFC 6047, 2.4)."""
    method = _METHOD.search(invite)
    message.add_attachment(
        invite,
        subtype="calendar",
        charset="utf-8",
        # Lines are folded by octets: no other encoding leaves them alone.
        cte="base64",
        filename="invite.ics",
        params={"method": method[1]} if method else None,
    )
