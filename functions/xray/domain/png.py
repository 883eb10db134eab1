"""PNG (ISO/IEC 15948): every chunk whole, with its checksum, and nothing behind the last."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from functions.xray.domain.limits import exactly, frame_of, refuse

__all__ = ["SIGNATURE", "check"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PART = 1 << 20
_CHUNKS = 100_000  # of 8 KiB, as encoders make them, a file has 25,600


def check(file: BinaryIO, size: int) -> None:
    """Raises ImageRefused for a file that is not one whole PNG and nothing else."""
    file.seek(len(SIGNATURE))
    first = True
    for _ in range(_CHUNKS):
        length, name = int.from_bytes(exactly(file, 4), "big"), exactly(file, 4)
        if not name.isalpha() or (name[:1].isupper() and name not in _CRITICAL):
            refuse("MALFORMED", "A part of the PNG has no known name.")
        if length > size - file.tell():
            refuse("TRUNCATED", "The file ends in the middle of the image.")
        if first != (name == b"IHDR") or (first and length != 13):
            refuse("MALFORMED", "A PNG begins with its header.")
        if name == b"acTL":
            refuse("UNSUPPORTED", "An animated PNG is no X-ray image.")
        crc, left, head = zlib.crc32(name), length, b""
        while left:
            data = exactly(file, min(left, _PART))
            head = head or data[:8]
            crc, left = zlib.crc32(data, crc), left - len(data)
        if crc != int.from_bytes(exactly(file, 4), "big"):
            refuse("MALFORMED", "A part of the PNG is damaged: its checksum is wrong.")
        if first:
            frame_of(int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big"))
            first = False
        if name == b"IEND":
            break
    else:
        refuse("UNSUPPORTED", f"A PNG may have {_CHUNKS} parts.")
    if file.tell() != size:
        refuse("TRAILING_DATA", "There is something behind the end of the image.")
