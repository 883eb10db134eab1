"""What the mail sink has kept, as its page shows it; any bytes may have been sent there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from functools import lru_cache
from pathlib import Path
from typing import Any

from shared.errors import NotFound

__all__ = ["Mailbox"]

_NAME = re.compile(r"\d{20}-[0-9a-f]{16}")


class Mailbox:
    """The mails in one directory; a file there never changes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._summary = lru_cache(maxsize=1000)(self._read_summary)

    def newest(self, limit: int) -> dict[str, Any]:
        """``{total, items: [{id, at, from, to, subject}]}``, the newest first."""
        names = sorted((file.stem for file in self._directory.glob("[0-9]*.eml")), reverse=True)
        return {"total": len(names), "items": [self._summary(name) for name in names[:limit]]}

    def show(self, name: str) -> dict[str, Any]:
        """One mail: its summary, ``headers`` [[name, value]], ``text``, and whether it has a part
        in HTML. Raises NotFound."""
        mail = self._read(name)
        return {
            **_summary(name, mail),
            "headers": [[header, _plain(value)] for header, value in mail.raw_items()],
            "text": _part(mail, "text/plain"),
            "html": _part(mail, "text/html") is not None,
        }

    def html(self, name: str) -> str:
        """One mail's part in HTML, as it was sent. Raises NotFound."""
        found = _part(self._read(name), "text/html")
        if found is None:
            raise NotFound("This mail has no part in HTML.")
        return found

    def _read(self, name: str) -> Message:
        file = self._directory / f"{name}.eml"
        if not _NAME.fullmatch(name) or not file.is_file():
            raise NotFound("There is no such mail.")
        return message_from_bytes(file.read_bytes())

    def _read_summary(self, name: str) -> dict[str, Any]:
        with (self._directory / f"{name}.eml").open("rb") as file:
            return _summary(name, BytesHeaderParser().parse(file))


def _summary(name: str, mail: Message) -> dict[str, Any]:
    # The first of its name: what the sink wrote stands in front of what was sent.
    headers = [(header.lower(), _plain(value)) for header, value in mail.raw_items()]
    first = dict(reversed(headers))
    at = datetime.fromtimestamp(int(name[:20]) / 1e9, UTC)
    return {
        "id": name,
        "at": at.isoformat(timespec="milliseconds"),
        "from": first.get("from", ""),
        # Who got it, not whom the mail names.
        "to": [value for header, value in headers if header == "delivered-to"],
        "subject": first.get("subject", ""),
    }


def _part(mail: Message, kind: str) -> str | None:
    for part in mail.walk():
        if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
            body = part.get_payload(decode=True)
            if isinstance(body, bytes):
                return _decoded(body, part.get_content_charset()).replace("\r\n", "\n")
    return None


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _plain(raw: Any) -> str:
    """A header's value as people read it (RFC 2047, or UTF-8 as it is)."""
    text = str(raw).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = re.sub(r"\r?\n[ \t]*", " ", text).strip()
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text
