"""A real SMTP server that keeps what it takes, and is busy, strict, slow or down when told to."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from infra.local.preflight import HOST, free_port

__all__ = ["MailServer", "Received"]


class Received(NamedTuple):
    """One mail, as the server was given it."""

    sender: str
    to: str
    message: EmailMessage

    def part(self, kind: str) -> str:
        """The text of the part ``text/<kind>``."""
        body = self.message.get_body(preferencelist=(kind,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")


class MailServer:
    """Listens between ``start`` and ``stop``; ``url`` is its SMTP_URL."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"smtp://{HOST}:{self.port}"
        self.mails: list[Received] = []
        self.replies: dict[str, str] = {}
        """The recipient, or ``*`` -> the answer to RCPT TO instead of 250."""
        self.data_reply: str | None = None
        """The answer to a whole mail, which is not kept then."""
        self.silent = False
        """Whole mails are kept and not answered: the client's time runs out."""
        self.asked = 0
        """How many recipients were named."""
        self._controller: Controller | None = None

    def start(self) -> None:
        """Listen; also again, on the same port."""
        self._controller = Controller(
            self, hostname=HOST, port=self.port, server_hostname="localhost"
        )
        self._controller.start()

    def stop(self) -> None:
        """Be down: connections are refused."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    @property
    def up(self) -> bool:
        """Does it listen?"""
        return self._controller is not None

    def to(self, address: str) -> list[Received]:
        """What this address was sent."""
        return [mail for mail in self.mails if mail.to == address]

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """One recipient."""
        self.asked += 1
        refusal = self.replies.get(address) or self.replies.get("*")
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """A whole mail."""
        if self.data_reply is not None:
            return self.data_reply
        message = message_from_bytes(envelope.original_content or b"", policy=default)
        assert isinstance(message, EmailMessage)
        for to in envelope.rcpt_tos:
            self.mails.append(Received(envelope.mail_from or "", to, message))
        if self.silent:
            await asyncio.sleep(3600)
        return "250 Kept"
