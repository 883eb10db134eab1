"""The pages behind links in e-mails: one question, a button for each answer, no script.

A page works in every browser and for a screen reader (WCAG 2.2: language, headings, contrast,
target size). A GET changes nothing, so that mail scanners which follow links do no harm; only a
button's POST does. The link is the key, so no page hands it on: no Referer, no cache, no frame.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from shared.http import Reply
from shared.types import Language

__all__ = ["HTML", "Action", "moment", "page"]

Action = tuple[str, str]
"""Where a button posts to, and what it says."""

HTML = "text/html; charset=utf-8"
_STYLE = (
    "body{font:1.125rem/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;"
    "max-width:34rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem;line-height:1.25}"
    "button{font:inherit;width:100%;min-height:3rem;margin:.5rem 0;border-radius:.5rem;"
    "border:2px solid #0b5394;background:#0b5394;color:#fff;cursor:pointer}"
    "form+form button{background:#fff;color:#0b5394}"
    "button:focus-visible{outline:3px solid #b45f06;outline-offset:3px}"
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Vary": "Accept-Language",
}

_DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "ro": "luni marți miercuri joi vineri sâmbătă duminică",
    "id": "Senin Selasa Rabu Kamis Jumat Sabtu Minggu",
}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "ro": "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie"
    " decembrie",
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
}


def moment(language: Language, at: datetime, zone: str) -> str:
    """``at`` on the wall of a clinic in ``zone``: ``Thursday, 15 January 2026, 10:30``."""
    local = at.astimezone(ZoneInfo(zone))
    day = _DAYS[language].split()[local.weekday()]
    month = _MONTHS[language].split()[local.month - 1]
    colon = "." if language == "id" else ":"
    return f"{day}, {local.day} {month} {local.year}, {local.hour:02}{colon}{local.minute:02}"


def page(
    language: Language,
    title: str,
    lines: Sequence[str] = (),
    actions: Sequence[Action] = (),
    *,
    status: int = 200,
) -> Reply[bytes]:
    """A page that says ``title`` and ``lines`` and offers ``actions``, the expected one first."""
    said = "".join(f"<p>{escape(line)}</p>" for line in lines)
    asked = "".join(
        f'<form method="post" action="{escape(target)}"><button>{escape(words)}</button></form>'
        for target, words in actions
    )
    html = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{said}{asked}</main></body></html>"
    )
    return Reply(html.encode(), headers=_HEADERS, status=status)
