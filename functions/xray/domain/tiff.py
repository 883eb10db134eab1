"""TIFF 6.0: every directory and strip within the file, and next to nothing that belongs to none."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from functions.xray.domain.limits import MAX_FRAMES, exactly, frame_of, refuse

__all__ = ["SIGNATURES", "check"]

SIGNATURES = (b"II*\x00", b"MM\x00*")
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)  # of a value of each type
_WIDTH, _HEIGHT, _COMPRESSION = 256, 257, 259
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_READ = (_WIDTH, _HEIGHT, _COMPRESSION, _TILE_WIDTH, _TILE_HEIGHT)
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # strips, tiles
_FURTHER = (330, 34665, 34853)  # SubIFDs, Exif, GPS
_CODINGS = frozenset({1, 5, 7, 8, 32773, 32946})  # none, LZW, JPEG, Deflate, PackBits
_PIECES = 200_000
_SLACK = 4096  # bytes that editors leave unused


@dataclass
class _Walk:
    """What has been read of a file."""

    file: BinaryIO
    size: int
    order: str
    used: list[tuple[int, int]] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    pages: int = 0
    fields: int = 0
    """Fields of all directories, and values that were read: they may lie in the same bytes."""

    def spend(self, fields: int) -> None:
        """So many more. Raises ImageRefused."""
        self.fields += fields
        if self.fields > 3 * _PIECES:
            refuse("TOO_MANY_PIXELS", "The TIFF consists of too many pieces.")

    def use(self, start: int, length: int) -> None:
        """These bytes belong to the image. Raises ImageRefused if they are not there."""
        if start + length > self.size:
            refuse("TRUNCATED", "The file ends in the middle of the image.")
        if len(self.used) > 2 * _PIECES:
            refuse("TOO_MANY_PIXELS", "The TIFF consists of too many pieces.")
        self.used.append((start, start + length))

    def at(self, start: int, length: int) -> bytes:
        """The bytes there, which belong to the image."""
        self.use(start, length)
        self.file.seek(start)
        return exactly(self.file, length)


def check(file: BinaryIO, size: int) -> None:
    """Raises ImageRefused for a file that is not one whole TIFF and nothing else."""
    file.seek(0)
    head = exactly(file, 8)
    order = "<" if head.startswith(b"II") else ">"
    walk = _Walk(file, size, order, [(0, 8)])
    following = [struct.unpack(f"{order}I", head[4:])[0]]
    while following:
        start = following.pop()
        if start in walk.seen:
            refuse("MALFORMED", "The TIFF's directories go round in a circle.")
        if len(walk.seen) > MAX_FRAMES:
            refuse("TOO_MANY_PIXELS", f"A file may have {MAX_FRAMES} pictures.")
        walk.seen.add(start)
        following += _directory(walk, start)
    if not walk.pages:
        refuse("MALFORMED", "The TIFF holds no image.")
    _covered(walk)


def _directory(walk: _Walk, start: int) -> list[int]:
    """Check the directory at ``start``; where further ones begin."""
    (count,) = struct.unpack(f"{walk.order}H", walk.at(start, 2))
    walk.spend(count)
    body = walk.at(start + 2, count * 12 + 4)
    tags: dict[int, tuple[int, ...]] = {}
    for index in range(count):
        _entry(walk, body[index * 12 : index * 12 + 12], tags)
    following = [place for tag in _FURTHER for place in tags.get(tag, ())]
    (after,) = struct.unpack(f"{walk.order}I", body[-4:])
    if after:
        following.append(after)
    if _WIDTH in tags or _HEIGHT in tags:
        _page(walk, tags)
    return following


def _entry(walk: _Walk, entry: bytes, tags: dict[int, tuple[int, ...]]) -> None:
    tag, kind, count = struct.unpack(f"{walk.order}HHI", entry[:8])
    if not 0 < kind < len(_SIZES):
        refuse("MALFORMED", "A field of the TIFF has no known type.")
    length = _SIZES[kind] * count
    wanted = tag in (*_READ, *_OFFSETS, *_COUNTS, *_FURTHER)
    if wanted and (kind not in (3, 4, 13) or not 0 < count <= _PIECES):
        refuse("MALFORMED", "A field of the TIFF is not of its type.")
    (place,) = struct.unpack(f"{walk.order}I", entry[8:])
    if length > 4 and not wanted:
        walk.use(place, length)
    if wanted:
        walk.spend(count)
        data = entry[8 : 8 + length] if length <= 4 else walk.at(place, length)
        tags[tag] = struct.unpack(f"{walk.order}{count}{'H' if kind == 3 else 'I'}", data)


def _page(walk: _Walk, tags: dict[int, tuple[int, ...]]) -> None:
    walk.pages += 1
    frame_of(tags.get(_WIDTH, (0,))[0], tags.get(_HEIGHT, (0,))[0])
    # A tile is decoded as a whole, however small the image is.
    frame_of(tags.get(_TILE_WIDTH, (1,))[0], tags.get(_TILE_HEIGHT, (1,))[0])
    if tags.get(_COMPRESSION, (1,))[0] not in _CODINGS:
        refuse("UNSUPPORTED", "This compression of a TIFF is not taken: save it without.")
    places = next((tags[tag] for tag in _OFFSETS if tag in tags), ())
    lengths = next((tags[tag] for tag in _COUNTS if tag in tags), ())
    if not places or len(places) != len(lengths):
        refuse("MALFORMED", "The TIFF does not say where its pixels are.")
    for place, length in zip(places, lengths, strict=True):
        walk.use(place, length)


def _covered(walk: _Walk) -> None:
    """Whatever no directory leads to is not a part of the image."""
    end = unused = 0
    for start, stop in sorted(walk.used):
        unused += max(0, start - end)
        end = max(end, stop)
    if walk.size - end > 1:  # one byte may pad to an even length
        refuse("TRAILING_DATA", "There is something behind the end of the image.")
    if unused > _SLACK:
        refuse("POLYGLOT", "There is something in the file that is no part of the image.")
