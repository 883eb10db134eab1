"""Value types of the group: addresses of people, names, dates, ids.

Each is ready for pydantic fields. What is refused says why and never repeats the value, because
these texts reach logs and error replies. Heavy validators are imported on first use.
"""

from __future__ import annotations

import os
import re
import threading
import time
import unicodedata
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, StringConstraints

__all__ = [
    "FIRST_BIRTH",
    "AtcCode",
    "BirthDate",
    "Email",
    "Language",
    "PersonName",
    "Phone",
    "TimeZoneName",
    "fold",
    "latest_today",
    "uuid7",
]

Language = Literal["en", "ro", "id"]

FIRST_BIRTH = date(1900, 1, 1)
# Where the day begins: a child may be born "tomorrow" as seen from Greenwich.
_EARLIEST_ZONE = timedelta(hours=14)


def latest_today() -> date:
    """The date where the day begins first."""
    return (datetime.now(UTC) + _EARLIEST_ZONE).date()


# --- addresses and names --------------------------------------------------------------------


def _email(text: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        # One spelling per mailbox: ASCII (an IDN domain in punycode) and lower case, so that
        # look-alikes cannot pass for another account and any mail server can deliver.
        found = validate_email(
            unicodedata.normalize("NFKC", text).strip().lower(),
            check_deliverability=False,
            allow_smtputf8=False,
        )
    except (EmailNotValidError, UnicodeError):
        raise ValueError("not a valid e-mail address") from None
    address = (found.ascii_email or "").lower()
    if not address or len(address) > 254:
        raise ValueError("not a valid e-mail address")
    return address


Email = Annotated[str, StringConstraints(max_length=320), AfterValidator(_email)]
"""An e-mail address in its one normal form (RFC 5321: at most 254 characters)."""


def _phone(text: str) -> str:
    compact = re.sub(r"[\s.()\-\u2010-\u2015]", "", text)
    if compact.startswith("00"):
        compact = "+" + compact[2:]
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", compact):
        raise ValueError("a phone number starts with + and the country code, 7 to 15 digits")
    return compact


Phone = Annotated[str, StringConstraints(max_length=40), AfterValidator(_phone)]
"""A phone number in E.164, e.g. ``+40721234567``."""

# Line breaks and controls have no place in a name; bidirectional overrides disguise one.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _name(text: str) -> str:
    name = re.sub(" +", " ", unicodedata.normalize("NFC", text).strip())
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI for c in name):
        raise ValueError("a name has no control characters")
    if not 1 <= len(name) <= 100:
        raise ValueError("a name has 1 to 100 characters")
    return name


PersonName = Annotated[str, StringConstraints(max_length=400), AfterValidator(_name)]
"""A first or last name as its bearer writes it, 1 to 100 characters."""


@cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


def _zone(text: str) -> str:
    if text not in _zones():
        raise ValueError("not a time zone name such as Europe/Bucharest")
    return text


TimeZoneName = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)]
"""An IANA time zone name."""


def _date_text(value: Any) -> Any:
    # pydantic would read a number as seconds since 1970.
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("a date is written as YYYY-MM-DD")


def _born(day: date) -> date:
    if not FIRST_BIRTH <= day <= latest_today():
        raise ValueError("a birth date is neither in the future nor before 1900")
    return day


BirthDate = Annotated[date, BeforeValidator(_date_text), AfterValidator(_born)]
"""The day somebody was born, 1900 to today (wherever today is latest)."""


# --- medicines ------------------------------------------------------------------------------

_ATC = re.compile(r"[ABCDGHJLMNPRSV][0-9]{2}(?:[A-Z](?:[A-Z](?:[0-9]{2})?)?)?")


def _atc(text: str) -> str:
    code = "".join(text.split()).upper()
    if not _ATC.fullmatch(code):
        raise ValueError(
            "not an ATC code such as J01CA04, or the first 3, 4 or 5 characters of one"
        )
    return code


AtcCode = Annotated[str, StringConstraints(max_length=20), AfterValidator(_atc)]
"""A substance of the WHO's Anatomical Therapeutic Chemical classification (level 5, ``J01CA04``),
or a group of them (levels 2 to 4: ``J01``, ``J01C``, ``J01CA``)."""

# --- folding --------------------------------------------------------------------------------

# Letters that Unicode does not decompose, as people type them without their keyboard.
_LETTERS = str.maketrans(
    {
        "ł": "l", "đ": "d", "ð": "d", "ø": "o", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i",
        "ħ": "h", "ŧ": "t", "ŋ": "n", "ĸ": "k", "ə": "e", "ƒ": "f",
        "'": None, "’": None, "‘": None, "ʼ": None, "ʻ": None, "`": None, "´": None,
    }
)  # fmt: skip


def fold(text: str) -> str:
    """``text`` as it is compared in a search: no case, no accents, no punctuation in names.

    ``"Ștefan-Łukasz  O’Neil"`` -> ``"stefan lukasz oneil"``. Folding twice changes nothing.
    """
    while True:
        letters = unicodedata.normalize("NFKD", text).casefold().translate(_LETTERS)
        kept = []
        for letter in unicodedata.normalize("NFKD", letters):
            category = unicodedata.category(letter)
            if category in ("Pd", "Cc"):
                kept.append(" ")
            elif category not in ("Mn", "Me", "Cf", "Cs"):
                kept.append(letter)
        folded = " ".join("".join(kept).split())
        if folded == text:
            return folded
        text = folded


# --- ids ------------------------------------------------------------------------------------

_uuid_lock = threading.Lock()
_uuid_last = 0
_COUNT_BITS = 42


def uuid7() -> UUID:
    """A new UUID version 7 (RFC 9562): sorts by time of creation, rising within a process.

    The 74 bits after the milliseconds are a 42-bit counter that starts at random (RFC 9562, 6.2,
    method 1) and 32 random bits, so two instances do not meet in one millisecond either.
    """
    global _uuid_last
    start = int.from_bytes(os.urandom(6), "big") >> 7
    moment = time.time_ns() // 1_000_000 << _COUNT_BITS | start
    with _uuid_lock:
        # A clock that was set back, or the same millisecond: count on from the last one.
        moment = _uuid_last + 1 if moment >> _COUNT_BITS <= _uuid_last >> _COUNT_BITS else moment
        _uuid_last = moment
    ms, count = moment >> _COUNT_BITS, moment & (1 << _COUNT_BITS) - 1
    low = (count & (1 << 30) - 1) << 32 | int.from_bytes(os.urandom(4), "big")
    return UUID(int=ms << 80 | 0x7 << 76 | (count >> 30) << 64 | 0b10 << 62 | low)
