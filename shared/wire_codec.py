"""What goes over the wire: parameters and columns as text, statements as messages.

Kept apart from shared/wire.py, which says when they travel.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

__all__ = ["TIMESTAMPTZ", "array", "compiled", "described", "instant", "int_at", "length"]

TIMESTAMPTZ = 1184
length = struct.Struct("!i").pack
int_at = struct.Struct("!i").unpack_from


def instant(text: str) -> Any:
    """A timestamptz; several times faster than strptime, which pg8000 uses."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # infinity, or a year that Python has not
        from pg8000.converters import timestamptz_in

        return timestamptz_in(text)


def array(values: Sequence[Any]) -> str:
    """The text of an array, every element quoted."""
    from pg8000.converters import PY_TYPES, make_param

    def text(value: Any) -> str:
        if isinstance(value, list | tuple):
            return array(value)
        plain: str | None = make_param(PY_TYPES, value)
        if plain is None:
            return "NULL"
        return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(map(text, values)) + "}"


@lru_cache(maxsize=1024)
def described(data: bytes, encoding: str) -> tuple[Sequence[str], Sequence[int]]:
    """The columns' names and the oids of their types, from a RowDescription."""
    names, types, at = [], [], 2
    for _ in range(int.from_bytes(data[:2], "big")):
        end = data.index(b"\0", at)
        names.append(data[at:end].decode(encoding))
        # Between them: the table's oid and the attribute's number.
        types.append(int_at(data, end + 7)[0])
        at = end + 19
    return tuple(names), tuple(types)


@lru_cache(maxsize=1024)
def compiled(sql: str) -> tuple[bytes, Sequence[str]]:
    """A Parse message with ``:name`` -> ``$n``, and the names in order.

    The scanner is pg8000's own, run once per text.
    """
    from pg8000.native import to_statement

    names: dict[str, None] = {}

    class _Recorder(dict[str, Any]):
        def __missing__(self, name: str) -> None:
            names[name] = None

    text, make_vals = to_statement(sql)
    make_vals(_Recorder())
    parse = b"\0" + text.encode() + b"\0\0\0"
    return b"P" + length(len(parse) + 4) + parse, tuple(names)
