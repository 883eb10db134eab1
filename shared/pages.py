"""Pages of a list and the opaque cursors that lead from one to the next.

A cursor says where the last page ended (the sort key of its last row), so a list that grows
meanwhile neither skips nor repeats rows. It is base64url of one version byte, a checksum and
JSON. The checksum finds damage, not forgery: a cursor carries no rights, it only says where to
go on in a list the caller may read anyway. It can be read by whoever holds it, so a list sorted
by something personal takes its cursor in the body, never in the URL.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
)
from pydantic_core import to_json

from shared import strict_json
from shared.errors import BadRequest, Invalid

__all__ = ["Moment", "Page", "PageQuery", "decode_cursor", "encode_cursor"]

T = TypeVar("T")
R = TypeVar("R")
_VERSION = b"\x01"
_CHECK = 4  # bytes of CRC-32


def _in_utc(moment: datetime) -> datetime:
    """``moment``, unless it is of a first or last day that has no such time in UTC."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("not a time between the years 1 and 9999 of UTC") from None
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with its zone that every database can hold, to ask for."""


class Page(BaseModel, Generic[T]):
    """One page: ``next_cursor`` is None on the last one."""

    items: list[T]
    next_cursor: str | None = None

    @classmethod
    def of(
        cls,
        rows: Sequence[R],
        limit: int,
        position: Callable[[R], object],
        item: Callable[[R], T],
    ) -> Page[T]:
        """The first ``limit`` of ``rows``, of which one more was asked for: if it is there, a
        cursor leads on from the ``position`` of the last row shown."""
        shown = rows[:limit]
        following = encode_cursor(position(shown[-1])) if len(rows) > limit else None
        return cls(items=[item(row) for row in shown], next_cursor=following)

    def map(self, shape: Callable[[T], R]) -> Page[R]:
        """The same page, each item in another ``shape``."""
        return Page(items=[shape(item) for item in self.items], next_cursor=self.next_cursor)


class PageQuery(BaseModel):
    """What a list accepts: ``limit`` rows (1 to 200), after ``cursor``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=2000)] | None = None

    def after(self, shape: type[T]) -> T | None:
        """Where the last page ended, None at the beginning. Raises as ``decode_cursor``."""
        return None if self.cursor is None else decode_cursor(self.cursor, shape)


def encode_cursor(position: object) -> str:
    """The cursor of ``position``: JSON-ready data, usually the sort key as a tuple."""
    payload = to_json(position)
    sealed = _VERSION + zlib.crc32(payload).to_bytes(_CHECK, "big") + payload
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, shape: type[T]) -> T:
    """The position in ``cursor``, checked against ``shape`` such as ``tuple[str, UUID]``.

    Raises BadRequest for a cursor that is damaged, of another version or of another list.
    """
    try:
        sealed = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        check, payload = sealed[1 : 1 + _CHECK], sealed[1 + _CHECK :]
        if sealed[:1] != _VERSION or zlib.crc32(payload).to_bytes(_CHECK, "big") != check:
            raise _refused()
        strict_json.parse(payload)
        found = _adapter(cast("Any", shape)).validate_json(payload, strict=True)
        for part in found if isinstance(found, tuple) else (found,):
            if isinstance(part, datetime):
                _in_utc(part)
        return cast("T", found)
    except (ValueError, binascii.Error, BadRequest, Invalid):
        raise _refused() from None


def _refused() -> BadRequest:
    return BadRequest("The cursor is not one this list gave out: start again without it.")


_adapter = cache(TypeAdapter[Any])
