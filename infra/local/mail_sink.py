"""The outside world of e-mail on one machine: a real SMTP server that keeps what it is given.

Each mail becomes a file ``<nanoseconds>-<random>.eml`` in one directory: the message as it was
sent, with the envelope in front as a final delivery writes it (RFC 5321, 4.4: Return-Path).
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from infra.local.preflight import HOST
from shared import log

__all__ = ["MailSink"]

_LARGEST = 10 * 1024 * 1024  # bytes of one mail


class MailSink:
    """Accepts every mail for everybody between ``start`` and ``stop``."""

    def __init__(self, port: int, directory: Path) -> None:
        """``directory`` must exist."""
        self.port = port
        self._directory = directory
        self._controller = _Controller(
            self,
            hostname=HOST,
            port=port,
            # Given, so that nobody asks the network for this machine's name.
            server_hostname="localhost",
            ident="DentalHelp mail sink",
            data_size_limit=_LARGEST,
        )

    def start(self) -> None:
        """Begin, without blocking; where the port is taken, mails wait at the senders."""
        try:
            self._controller.start()
        except OSError as fault:
            log.error("mail_sink_cannot_start", reason=str(fault))

    def stop(self) -> None:
        """End; mails half received were not accepted, and are sent again."""
        if self._controller.server is not None:
            self._controller.stop()

    async def handle_DATA(  # noqa: N802 -- aiosmtpd's name
        self,
        server: SMTP,  # noqa: ARG002 -- aiosmtpd's signature
        session: Session,  # noqa: ARG002
        envelope: Envelope,
    ) -> str:
        """A whole mail: kept before it is accepted."""
        try:
            self._keep(
                envelope.mail_from or "", envelope.rcpt_tos, envelope.original_content or b""
            )
        except OSError as fault:
            log.error("mail_not_kept", reason=str(fault))
            return "452 4.3.1 Insufficient system storage"
        return "250 2.0.0 Kept"

    def _keep(self, sender: str, recipients: Sequence[str], content: bytes) -> None:
        name = f"{time.time_ns():020d}-{secrets.token_hex(8)}"
        lines = [f"Return-Path: <{sender}>", *(f"Delivered-To: {to}" for to in recipients)]
        draft = self._directory / f".{name}"
        draft.write_bytes("".join(f"{line}\r\n" for line in lines).encode() + content)
        draft.replace(self._directory / f"{name}.eml")


class _Controller(Controller):
    """aiosmtpd's own, that waits neither for a start that failed nor, at its end, for clients that
    stay connected."""

    def _run(self, ready_event: threading.Event) -> None:
        super()._run(ready_event)
        ready_event.set()

    def _trigger_server(self) -> None:
        if self._thread_exception is not None:
            raise self._thread_exception
        super()._trigger_server()  # type: ignore[no-untyped-call]

    def cancel_tasks(self, stop_loop: bool = True) -> None:
        """Called in the loop, when it is to end."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        if stop_loop:
            # One more round, in which the cancelled tasks close their connections.
            self.loop.call_soon(self.loop.stop)
