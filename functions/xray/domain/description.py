"""What an image says about itself: DICOM's tags as our metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from functions.xray.domain.dicom_file import Dicom
from functions.xray.domain.teeth import teeth_of

__all__ = ["Claim", "Description", "describe"]

_LONGEST = 64  # characters of a text that is kept


@dataclass(frozen=True)
class Claim:
    """Whose image a file says it is; "" and None where it says nothing."""

    patient_id: str = ""
    name: str = ""
    """DICOM's PN: family, given, middle, prefix and suffix, with ^ between."""
    birth_date: date | None = None


@dataclass(frozen=True)
class Description:
    """A file's own metadata."""

    width: int
    height: int
    frames: int = 1
    modality: str | None = None
    """PS3.3 C.7.3.1.1.1: IO, PX, CT..."""
    taken_at: datetime | None = None
    """None where the file does not say in which time zone."""
    teeth: list[str] = field(default_factory=list)
    region: str | None = None
    device: str | None = None
    claim: Claim | None = None
    """None for files that name nobody."""


def describe(file: Dicom, zone: str | None) -> Description:
    """The metadata of a DICOM file; its times without an offset are ``zone``'s."""
    head = file.header
    modality = _text(head, "Modality")
    return Description(
        width=int(head.Columns),
        height=int(head.Rows),
        frames=file.frames,
        modality=modality if modality and modality.isascii() and modality.isalnum() else None,
        taken_at=_moment(head, zone),
        teeth=teeth_of(_codes(head, "PrimaryAnatomicStructureSequence")),
        region=_text(head, "BodyPartExamined") or _meaning(head),
        device=_text(head, "Manufacturer"),
        claim=Claim(
            _text(head, "PatientID") or "",
            _text(head, "PatientName") or "",
            _day(_text(head, "PatientBirthDate") or ""),
        ),
    )


def _text(head: Any, name: str) -> str | None:
    """A value as text without control characters, or None: files hold what they like."""
    try:
        value = head.get(name)
        text = "" if value is None else str(value)
    except Exception:  # noqa: BLE001 -- a value that cannot be read says nothing
        return None
    return "".join(c for c in text if c.isprintable()).strip()[:_LONGEST] or None


def _codes(head: Any, sequence: str) -> Iterator[tuple[str, str]]:
    """(scheme, value) of each item."""
    try:
        items = list(head.get(sequence) or ())
    except Exception:  # noqa: BLE001
        return
    for item in items:
        yield _text(item, "CodingSchemeDesignator") or "", _text(item, "CodeValue") or ""


def _meaning(head: Any) -> str | None:
    try:
        items = list(head.get("AnatomicRegionSequence") or ())
    except Exception:  # noqa: BLE001
        return None
    return _text(items[0], "CodeMeaning") if items else None


def _moment(head: Any, zone: str | None) -> datetime | None:
    """When it was taken: the acquisition, else the content, else the study (PS3.3 C.7.6.1)."""
    whole = _text(head, "AcquisitionDateTime") or ""
    digits, sign, offset = whole, "", _text(head, "TimezoneOffsetFromUTC") or ""
    for mark in "+-":
        if mark in whole:
            digits, sign, offset = whole.partition(mark)
            offset = sign + offset
    for kind in ("Acquisition", "Content", "Study"):
        if len(digits) >= 12:
            break
        day, time = _text(head, f"{kind}Date") or "", _text(head, f"{kind}Time") or ""
        digits = day + time
    if len(digits) < 12:
        return None
    try:
        tz = _zone(offset, zone)
        text = digits.partition(".")[0][:14].ljust(14, "0")
        found = None if tz is None else datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=tz)
        # On the first and last day of all years there are times that UTC does not have.
        found = found and found.astimezone(UTC)
    except (ValueError, OverflowError, LookupError):
        return None
    return found


def _zone(offset: str, zone: str | None) -> tzinfo | None:
    """The file's own offset (&ZZXX, PS3.5 6.2), or else ``zone``."""
    if not offset:
        return ZoneInfo(zone) if zone else None
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
    return timezone(-shift if offset[0] == "-" else shift)


def _day(text: str) -> date | None:
    if len(text) != 8 or not text.isdigit():
        return None
    try:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}")
    except ValueError:
        return None
