"""How much an image may be, and why one is refused."""

from __future__ import annotations

from typing import BinaryIO, ClassVar, Literal, NoReturn

from shared.errors import Conflict, Problem

__all__ = [
    "MAX_FRAMES",
    "MAX_PIXELS",
    "MAX_SIZE",
    "ImageRefused",
    "NoPreview",
    "Reason",
    "exactly",
    "frame_of",
    "refuse",
]

MAX_SIZE = 200 << 20
"""Bytes of a file."""
MAX_PIXELS = 40_000_000
"""Of one frame: what one preview takes in memory. A skull on film at 600 dpi has as many."""
MAX_FRAMES = 2_000

Reason = Literal[
    "SIZE",
    "CHECKSUM",
    "TYPE",
    "MALFORMED",
    "TRUNCATED",
    "TRAILING_DATA",
    "POLYGLOT",
    "TOO_MANY_PIXELS",
    "UNSUPPORTED",
]


class ImageRefused(Problem):
    """The file is not accepted, and was deleted: reason says why. Upload another one anew."""

    status: ClassVar[int] = 422

    def __init__(self, detail: str | None = None, *, reason: Reason = "MALFORMED") -> None:
        super().__init__(detail, reason=reason)
        self.reason = reason


class NoPreview(Conflict):
    """This image is coded in a way that is kept, but cannot be shown here: download it."""


def refuse(reason: Reason, detail: str) -> NoReturn:
    """Raises ImageRefused."""
    raise ImageRefused(detail, reason=reason)


def exactly(file: BinaryIO, count: int) -> bytes:
    """The next ``count`` bytes. Raises ImageRefused where the file ends before."""
    data = file.read(count)
    if len(data) < count:
        refuse("TRUNCATED", "The file ends in the middle of the image.")
    return data


def frame_of(width: int, height: int, frames: int = 1) -> None:
    """Raises ImageRefused for a picture without pixels, or with more than are decoded."""
    if width < 1 or height < 1 or frames < 1:
        refuse("MALFORMED", "The image has no pixels.")
    if width * height > MAX_PIXELS:
        refuse("TOO_MANY_PIXELS", f"A picture may have {MAX_PIXELS} pixels, not {width}x{height}.")
    if frames > MAX_FRAMES:
        refuse("TOO_MANY_PIXELS", f"A file may have {MAX_FRAMES} pictures, not {frames}.")
