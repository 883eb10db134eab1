"""JPEG (ITU-T T.81): every segment whole, and nothing behind the end of the image."""

from __future__ import annotations

import re
from typing import BinaryIO

from functions.xray.domain.limits import exactly, frame_of, refuse

__all__ = ["MAX_SCANS", "SIGNATURE", "check"]

SIGNATURE = b"\xff\xd8\xff"
# Within coded data FF is followed by 00 (a stuffed byte), a restart marker, or a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PART = 1 << 20
_SEGMENTS = 4096
MAX_SCANS = 32
"""Each goes over all pixels again, and may have no more than a few bytes; encoders make ten."""


def check(file: BinaryIO, size: int) -> None:
    """Raises ImageRefused for a file that is not one whole JPEG image and nothing else."""
    file.seek(2)
    framed, scans = False, 0
    for _ in range(_SEGMENTS):
        marker = _next(file)
        if marker == 0xD9:
            break
        if marker in (0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            refuse("MALFORMED", "The JPEG has a marker where none may be.")
        length = int.from_bytes(exactly(file, 2), "big")
        if length < 2:
            refuse("MALFORMED", "A part of the JPEG has no length.")
        body = exactly(file, length - 2)
        if marker in _OTHER_FRAMES:
            refuse("UNSUPPORTED", "This kind of JPEG is not taken: save it as a baseline one.")
        if marker in _FRAMES:
            if framed or len(body) < 6:
                refuse("MALFORMED", "The JPEG has more than one frame.")
            framed = True
            _frame(body)
        if marker == 0xDA:
            scans += framed
            if scans > MAX_SCANS:
                refuse("UNSUPPORTED", f"A JPEG may have {MAX_SCANS} scans.")
            _skip_scan(file)
    else:
        refuse("UNSUPPORTED", f"A JPEG may have {_SEGMENTS} parts.")
    if not scans:
        refuse("TRUNCATED", "The JPEG holds no image.")
    if file.tell() != size:
        refuse("TRAILING_DATA", "There is something behind the end of the image.")


def _frame(body: bytes) -> None:
    if body[0] != 8 or body[5] not in (1, 3):
        refuse("UNSUPPORTED", "A JPEG is grey or in colour, with 8 bits for each.")
    frame_of(int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))


def _next(file: BinaryIO) -> int:
    if exactly(file, 1) != b"\xff":
        refuse("MALFORMED", "The JPEG has something between its parts.")
    while (code := exactly(file, 1)[0]) == 0xFF:
        pass
    return code


def _skip_scan(file: BinaryIO) -> None:
    """Go to the marker that ends the coded data."""
    while True:
        at = file.tell()
        data = file.read(_PART)
        found = _MARKER.search(data)
        if found is not None:
            file.seek(at + found.start())
            return
        if len(data) < _PART:
            refuse("TRUNCATED", "The file ends in the middle of the image.")
        # A marker may lie across the border of two parts.
        file.seek(at + len(data) - 1)
