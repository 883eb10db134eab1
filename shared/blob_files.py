"""Large objects in parts: what is known of one, and files to read and write it by."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from typing import Any

from shared.errors import Conflict

__all__ = ["CHUNK", "RemoteFile", "Replaced", "Stat", "Writer"]

CHUNK = 5 << 20
"""Bytes that are read or written at a time; the least that S3 takes as a part."""


class Replaced(Conflict):
    """The object was replaced or deleted while it was read."""


@dataclass(frozen=True, slots=True)
class Stat:
    """An object's ``size`` in bytes and its ``version``, the entity tag of this content."""

    size: int
    version: str


class Writer:
    """Takes an object's bytes, in as many calls as one likes."""

    def __init__(self, inner: Any, guarded: Callable[[], AbstractContextManager[None]]) -> None:
        self._inner, self._guarded = inner, guarded

    def write(self, data: bytes) -> int:
        """Append ``data``; how many bytes that were. Raises Unavailable."""
        with self._guarded():
            self._inner.write(data)
        return len(data)


class RemoteFile(RawIOBase):
    """An object as a file for reading: every ``read`` asks for its own range."""

    def __init__(self, part: Callable[[int, int], bytes], size: int) -> None:
        """``part`` gives the bytes from a start to an end."""
        self._part, self._size, self._at = part, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        base = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        data = self._part(self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
