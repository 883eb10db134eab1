"""One seal over rows of the audit log: what it says, its anchor, the service's word for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from shared.crypto import Vault
from shared.db import Row

__all__ = ["START", "Position", "Seal", "beginning", "folder", "path"]

_PURPOSE = "audit"


_FIRST = 1


class Position(NamedTuple):
    """A place in the order in which rows are sealed."""

    epoch: int
    tx: int
    id: int

    def shown(self) -> list[str]:
        """As an anchor has it. The first epoch is left out: anchors are older than epochs."""
        return [str(part) for part in (self[1:] if self.epoch == _FIRST else self)]

    @classmethod
    def parse(cls, shown: Sequence[str]) -> Self:
        """From an anchor. Raises TypeError, ValueError."""
        parts = [int(part) for part in shown]
        return cls(_FIRST, *parts) if len(parts) < len(cls._fields) else cls(*parts)


START = Position(_FIRST, 0, 0)


@dataclass(frozen=True)
class Seal:
    """The rows behind ``after``, up to ``upto``: how many, and their digest."""

    service: str
    number: int
    after: Position
    """Where the seal before ends; earlier where the database was restored to before that."""
    upto: Position
    entries: int
    previous: bytes
    """The digest of the seal before."""
    root: bytes
    sealed_at: datetime
    mac: bytes = b""

    @classmethod
    def of(cls, service: str, row: Row) -> Self:
        """From a row of ``audit_seals``."""
        fields = {name: row[name] for name in ("number", "entries", "previous", "root", "mac")}
        after = Position(row["after_epoch"], int(row["after_tx"]), row["after_id"])
        upto = Position(row["upto_epoch"], int(row["upto_tx"]), row["upto_id"])
        return cls(service=service, after=after, upto=upto, sealed_at=row["sealed_at"], **fields)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From an anchor. Raises ValueError."""
        try:
            found: Mapping[str, Any] = json.loads(data)
            return cls(
                service=str(found["service"]),
                number=int(found["number"]),
                after=Position.parse(found["after"]),
                upto=Position.parse(found["upto"]),
                entries=int(found["entries"]),
                previous=bytes.fromhex(found["previous"]),
                root=bytes.fromhex(found["root"]),
                sealed_at=datetime.fromisoformat(found["sealed_at"]),
                mac=bytes.fromhex(found["mac"]),
            )
        except (KeyError, TypeError) as fault:
            raise ValueError("not an anchor") from fault

    def anchor(self) -> bytes:
        """The object outside the database."""
        return json.dumps(self._shown(), sort_keys=True).encode()

    @property
    def path(self) -> str:
        """Where the anchor lies."""
        return path(self.service, self.number)

    def vouched(self, vault: Vault) -> Self:
        """This seal with the service's word for it. Raises Unavailable."""
        return replace(self, mac=vault.mac(_PURPOSE, self._content()))

    def genuine(self, vault: Vault) -> bool:
        """Whether it has the service's word. Raises Unavailable."""
        return vault.vouched(_PURPOSE, self._content(), self.mac)

    def _content(self) -> bytes:
        return replace(self, mac=b"").anchor()

    def _shown(self) -> dict[str, Any]:
        shown = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in asdict(self).items()
        }
        at = self.sealed_at.astimezone(UTC).isoformat(timespec="microseconds")
        places = {"after": self.after.shown(), "upto": self.upto.shown()}
        return {**shown, **places, "sealed_at": at}


def folder(service: str) -> str:
    """Where the anchors of a service lie."""
    return f"audit/{service}"


def path(service: str, number: int) -> str:
    """Where the anchor of seal ``number`` lies; paths sort as numbers do."""
    return f"{folder(service)}/{number:010}.json"


def beginning(service: str) -> bytes:
    """What the first seal follows."""
    return hashlib.sha256(f"dentalhelp audit {service}".encode()).digest()
