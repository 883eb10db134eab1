"""The archive of an export: JSON of each service, the original files, and what each must be.

A ZIP that is written from its first byte to its last as the files come in: no file is ever held as
a whole, whatever its size, nor is the archive.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from shared.privacy import ExportFile

__all__ = ["MANIFEST", "Altered", "Sink", "Source", "Tables", "write_archive"]

MANIFEST = "manifest.json"
Tables = Mapping[str, Sequence[Mapping[str, Any]]]
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_READABLE_BY_ALL = 0o644 << 16


class Altered(Exception):
    """A file is not what its service says that it is."""


class Sink(Protocol):
    """Takes the archive's bytes."""

    def write(self, data: bytes, /) -> int:
        """How many were taken: all."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """An original file of a service; ``fetch`` gives its bytes, piece by piece."""

    service: str
    file: ExportFile
    fetch: Callable[[], Iterator[bytes]]

    @property
    def member(self) -> str:
        """Its name in the archive. Raises Altered for one that leads elsewhere."""
        if not _NAME.fullmatch(self.file.name):
            raise Altered(f"{self.service}: a file has a name that is none")
        return f"files/{self.service}/{self.file.name}"


def write_archive(
    sink: Sink,
    person: UUID,
    at: datetime,
    parts: Mapping[str, Tables],
    sources: Sequence[Source],
    *,
    moved: Callable[[int, int], None],
) -> int:
    """Write the archive of what is known about ``person``; its size in bytes.

    ``moved`` is told of each piece: (files that were ended by it, bytes). Raises Altered where a
    file's bytes are not those that its service has, and whatever ``fetch`` and ``moved`` raise.
    """
    counting = _Counting(sink)
    members: dict[str, dict[str, Any]] = {}
    with ZipFile(counting, "w", allowZip64=True) as made:
        for service, tables in sorted(parts.items()):
            _add(made, members, f"{service}.json", at, _json(tables))
        for source in sources:
            _copy(made, members, source, at, moved)
        about = {
            "patient_id": str(person),
            "exported_at": at.astimezone(UTC).isoformat(),
            "algorithm": "SHA-256",
            "members": members,
        }
        _add(made, {}, MANIFEST, at, _json(about))
    return counting.size


class _Counting:
    """What ZipFile writes to: it cannot seek, so that sizes and sums follow the bytes."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self.size = sink, 0

    def write(self, data: bytes, /) -> int:
        self._sink.write(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Whoever gave the sink closes it."""


def _add(
    made: ZipFile, members: dict[str, dict[str, Any]], name: str, at: datetime, data: bytes
) -> None:
    made.writestr(_info(name, at, ZIP_DEFLATED), data)
    members[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _copy(
    made: ZipFile,
    members: dict[str, dict[str, Any]],
    source: Source,
    at: datetime,
    moved: Callable[[int, int], None],
) -> None:
    name, file = source.member, source.file
    if name in members:
        raise Altered(f"{source.service}: two files have one name")
    info = _info(name, at, ZIP_STORED)
    info.file_size = file.size
    digest, size = hashlib.sha256(), 0
    with made.open(info, "w", force_zip64=True) as member:
        for piece in source.fetch():
            digest.update(piece)
            size += len(piece)
            if size > file.size:
                raise Altered(f"{source.service}: {file.name} is longer than {file.size} bytes")
            member.write(piece)
            moved(0, len(piece))
    if (size, digest.hexdigest()) != (file.size, file.sha256.lower()):
        raise Altered(f"{source.service}: {file.name} does not have its size and SHA-256")
    members[name] = {"sha256": digest.hexdigest(), "size": size}
    moved(1, 0)


def _info(name: str, at: datetime, compression: int) -> ZipInfo:
    utc = at.astimezone(UTC)
    info = ZipInfo(name, (utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second))
    info.compress_type, info.external_attr = compression, _READABLE_BY_ALL
    return info


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode()
