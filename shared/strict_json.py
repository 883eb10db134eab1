"""JSON as RFC 8259 means it, and what is wrong with a body, without ever quoting it.

Parsers disagree about repeated members, NaN, huge numbers and lone surrogates, and PostgreSQL
refuses NUL in text. All of these stop here, so that nothing behind the edge has to think of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from json import JSONDecodeError
from math import isinf
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from shared.errors import BadRequest, Invalid

__all__ = ["CUT", "MAX_DEPTH", "clean", "describe", "parse", "pointer", "validate"]

MAX_DEPTH = 50
_MAX_ERRORS = 50
_MAX_DETAIL = 300
_INT64 = 2**63
# Half of a surrogate pair, or NUL: no text that can be stored or sent on.
_UNTEXT = re.compile("[\x00\ud800-\udfff]")
_MAYBE_UNTEXT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# Only names that look like ours are repeated: a key may be personal (somebody's e-mail address).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


class _OutOfRange(Exception):
    pass


class _Huge:
    pass


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadRequest("The body names a member of an object twice.")
    return members


def _constant(_: str) -> Any:
    raise BadRequest("The body is not valid JSON: NaN and Infinity are no numbers.")


def _int(text: str) -> int:
    if len(text) < 19 or (len(text) < 25 and -_INT64 <= int(text) < _INT64):
        return 0  # only the shape matters here: pydantic reads the values
    raise _OutOfRange


def _float(text: str) -> float:
    if isinf(float(text)):
        raise _OutOfRange
    return 0.0


_quick = json.JSONDecoder(
    object_pairs_hook=_members, parse_constant=_constant, parse_int=_int, parse_float=_float
)


def _marked(read: Any) -> Any:
    def number(text: str) -> object:
        try:
            return read(text)
        except _OutOfRange:
            return _Huge()

    return number


_thorough = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_constant=_constant,
    parse_int=_marked(_int),
    parse_float=_marked(_float),
)


def parse(raw: bytes) -> object:
    """The shape of ``raw``: its objects, lists and strings (numbers read as 0).

    Raises BadRequest (empty, not UTF-8, not JSON, a member twice, deeper than MAX_DEPTH) and
    Invalid (NUL or a lone surrogate in a string, a number beyond 64 bits), with positions only.
    """
    if not raw.strip(b" \t\r\n"):
        raise BadRequest("The body is empty: JSON is expected.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        line, column = _position(raw[: exc.start].decode())
        raise BadRequest(f"The body is not UTF-8: line {line}, column {column}.") from None
    try:
        try:
            data: object = _quick.decode(text)
            doubtful = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH
        except _OutOfRange:
            data, doubtful = _thorough.decode(text), True
    except JSONDecodeError as exc:
        raise BadRequest(
            f"The body is not valid JSON: line {exc.lineno}, column {exc.colno}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if (doubtful or _MAYBE_UNTEXT.search(raw)) and (errors := list(_faults(data))):
        raise Invalid(errors=errors[:_MAX_ERRORS])
    return data


def _position(before: str) -> tuple[int, int]:
    """Line and column, in characters, of what follows ``before``."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _too_deep() -> BadRequest:
    return BadRequest(f"The body nests deeper than {MAX_DEPTH} levels.")


def _faults(data: object) -> Iterator[dict[str, str]]:
    """What is unacceptable in ``data``; raises BadRequest where it is too deep."""
    rest: list[tuple[object, tuple[str | int, ...]]] = [(data, ())]
    while rest:
        value, path = rest.pop()
        if isinstance(value, str):
            if not clean(value):
                yield {"pointer": pointer(path), "detail": "Characters that are no text"}
        elif isinstance(value, _Huge):
            yield {"pointer": pointer(path), "detail": "A number that does not fit 64 bits"}
        elif isinstance(value, dict | list):
            if len(path) >= MAX_DEPTH:
                raise _too_deep()
            if isinstance(value, dict):
                if not all(map(clean, value)):
                    yield {"pointer": pointer(path), "detail": "A name that is no text"}
                rest.extend((item, (*path, key)) for key, item in value.items())
            else:
                rest.extend((item, (*path, index)) for index, item in enumerate(value))


def clean(text: str) -> bool:
    """Is ``text`` free of NUL and lone surrogates?"""
    return _UNTEXT.search(text) is None


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer (RFC 6901) of ``path``, ending above a name that is not fit to repeat."""
    parts = []
    for part in path:
        if isinstance(part, str) and not _NAME.fullmatch(part):
            break
        parts.append(f"/{part}")
    return "".join(parts)


def validate(adapter: TypeAdapter[Any], raw: bytes) -> Any:
    """``raw`` as what ``adapter`` describes. Raises as ``parse``, and Invalid naming each field."""
    data = parse(raw)
    try:
        return adapter.validator.validate_json(raw)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False)[:_MAX_ERRORS]
    raise Invalid(errors=[{"pointer": _locate(e, data), "detail": describe(e)} for e in errors])


def _locate(error: ErrorDetails, data: object) -> str:
    """The pointer of ``error``: pydantic's location also names union branches, which are not in
    the data."""
    path: list[str | int] = []
    for part in error["loc"]:
        try:
            data = data[part]  # type: ignore[index]
        except (LookupError, TypeError):
            continue
        path.append(part)
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    return pointer(path)


_OWN_WORDS = {"missing": "This field is required", "extra_forbidden": "This field is not known"}
# pydantic appends to these what it found in the input: keep what stands before.
CUT = frozenset(
    {
        "json_invalid",
        "get_attribute_error",
        "iteration_error",
        "bytes_invalid_encoding",
        "date_parsing",
        "date_from_datetime_parsing",
        "time_parsing",
        "datetime_parsing",
        "datetime_object_invalid",
        "datetime_from_date_parsing",
        "time_delta_parsing",
        "url_parsing",
        "url_syntax_violation",
        "uuid_parsing",
        "timezone_offset",
        "value_error",
        "assertion_error",
    }
)


def describe(error: ErrorDetails) -> str:
    """What is wrong, in words that hold nothing of the input.

    A ValueError raised by one of our own validators is shown as it is.
    """
    kind = error["type"]
    if kind in _OWN_WORDS:
        return _OWN_WORDS[kind]
    context = error.get("ctx", {})
    if kind == "union_tag_invalid":
        return f"Must be one of: {context.get('expected_tags', '')}"
    cause = context.get("error")
    if kind == "value_error" and isinstance(cause, ValueError):
        return str(cause)[:_MAX_DETAIL]
    text = error["msg"]
    return (re.split("[,:]", text)[0] if kind in CUT else text)[:_MAX_DETAIL]
