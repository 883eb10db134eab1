"""Handing a mail to the provider (RFC 5321), and what its refusal means."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from shared import log

__all__ = ["TIMEOUT_S", "MailFailed", "MailRefused", "Mailer"]

TIMEOUT_S = 10.0
"""How long the provider may take for each answer, in seconds."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class MailFailed(Exception):
    """The provider is away or busy: another try may succeed. The text is a code."""

    def __init__(self, reason: str, *, away: bool) -> None:
        """``away``: not just for this mail."""
        self.away = away
        super().__init__(reason)


class MailRefused(Exception):
    """The provider will never take this mail for this address. The text is a code."""


class Mailer:
    """A connection to the provider, opened when it is needed and used for several mails.

    ``url`` is SMTP_URL: ``smtp://user:password@host:587?starttls``, ``smtps://...``. ``host`` is
    who greets (RFC 5321, EHLO): given, so that no connection waits until DNS knows a container.
    """

    def __init__(self, url: str, host: str = "127.0.0.1") -> None:
        """Raises ValueError for another URL, or a password that would travel in the clear."""
        self._host = _greeting(host)
        self._url: SplitResult = urlsplit(url)
        self._starttls = "starttls" in parse_qs(self._url.query, keep_blank_values=True)
        if self._url.scheme not in ("smtp", "smtps") or not self._url.hostname:
            raise ValueError("SMTP_URL must be smtp://host or smtps://host")
        safe = self._starttls or self._url.scheme == "smtps" or self._url.hostname in _LOOPBACK
        if self._url.username and not safe:
            raise ValueError("SMTP_URL has a password: use smtps:// or ?starttls")
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Be connected. Raises MailFailed."""
        if self._smtp is not None:
            return
        try:
            self._smtp = self._connect()
        except (smtplib.SMTPException, OSError) as error:
            raise _failed(error) from None

    def send(self, message: EmailMessage, *, sender: str, recipient: str) -> None:
        """Hand it over; when this returns the provider has taken it. Raises MailFailed (the
        provider may have it all the same) and MailRefused."""
        self.open()
        try:
            if self._smtp is None:
                raise AssertionError("open() connects or raises")
            self._smtp.send_message(message, from_addr=sender, to_addrs=[recipient])
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            self.close()
            code = _code(error)
            if code >= 500:
                raise MailRefused(str(code)) from None
            raise MailFailed(str(code), away=False) from None
        except (smtplib.SMTPNotSupportedError, UnicodeError, ValueError) as error:
            # An address beyond ASCII that the provider has no way to take (RFC 6531).
            self.close()
            raise MailRefused(type(error).__name__) from None
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            raise _failed(error) from None

    def close(self) -> None:
        """Hang up."""
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        try:
            smtp.quit()
        except (smtplib.SMTPException, OSError) as error:
            log.info("smtp_closed", reason=type(error).__name__)

    def _connect(self) -> smtplib.SMTP:
        host, port = str(self._url.hostname), self._url.port or 0
        smtp: smtplib.SMTP
        if self._url.scheme == "smtps":
            context = ssl.create_default_context()
            smtp = smtplib.SMTP_SSL(
                host, port, local_hostname=self._host, timeout=TIMEOUT_S, context=context
            )
        else:
            smtp = smtplib.SMTP(host, port, local_hostname=self._host, timeout=TIMEOUT_S)
        try:
            if self._starttls:
                smtp.starttls(context=ssl.create_default_context())
            if self._url.username:
                smtp.login(unquote(self._url.username), unquote(self._url.password or ""))
        except BaseException:
            smtp.close()
            raise
        return smtp


def _greeting(host: str) -> str:
    """A domain as it is, an address as RFC 5321, 4.1.3, writes it."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"


def _failed(error: Exception) -> MailFailed:
    code = getattr(error, "smtp_code", None)
    reason = str(code) if isinstance(code, int) else type(error).__name__
    return MailFailed(reason, away=True)


def _code(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return max(code for code, _ in error.recipients.values())
    return error.smtp_code
