"""The page of the mail sink: its data, and a mail's own HTML, which may do nothing at all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from infra.local.mailbox import Mailbox
from shared.errors import NotFound

__all__ = ["Found", "MailPages"]

_SHOWN = 100
_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
# A mail comes from anywhere. In its frame nothing runs and nothing is fetched; a link that
# somebody clicks opens a tab of its own.
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'self'"
)
_HEAD = re.compile(r"<head[^>]*>|<!doctype[^>]*>", re.IGNORECASE)
_TAB = '<base target="_blank">'


class Found(NamedTuple):
    """What a page answers; ``policy`` None: the pages' usual one."""

    kind: str
    age: str
    body: bytes
    policy: str | None = None


class MailPages:
    """Answers for everything below ``/_local/mail``."""

    def __init__(self, directory: Path, page: bytes, policy: str) -> None:
        """``directory`` is the sink's; ``page`` is the one that people see."""
        self._mailbox = Mailbox(directory)
        self._page = Found(_HTML, "no-cache", page, f"{policy}; frame-src 'self'")

    def find(self, path: str) -> Found:
        """What is at ``path``. Raises NotFound."""
        if path.rstrip("/") == "/_local/mail":
            return self._page
        if path == "/_local/mail.json":
            return _data(self._mailbox.newest(_SHOWN))
        name = path.removeprefix("/_local/mail/")
        if name.endswith(".json"):
            return _data(self._mailbox.show(name.removesuffix(".json")))
        if name.endswith(".html"):
            html = self._mailbox.html(name.removesuffix(".html"))
            return Found(_HTML, "no-store", _into_tabs(html).encode(), _MAIL_POLICY)
        raise NotFound


def _data(value: object) -> Found:
    return Found(_JSON, "no-store", json.dumps(value).encode())


def _into_tabs(html: str) -> str:
    """Links open beside the frame; the browser keeps reading it as the kind of HTML it is."""
    heads = list(_HEAD.finditer(html[:2000]))
    at = heads[-1].end() if heads else 0
    return html[:at] + _TAB + html[at:]
