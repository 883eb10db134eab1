"""Cursors: round trip, and everything that is not one of ours."""

from __future__ import annotations

import base64
import zlib
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from functions.patient.api.history import HistoryQuery
from shared.errors import BadRequest
from shared.pages import Moment, Page, PageQuery, decode_cursor, encode_cursor
from tests.http_example import ME


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.uuids())
def test_a_cursor_gives_back_the_position(name: str, key: UUID) -> None:
    """What went in comes out, typed, whatever the text."""
    assert (name, key) == decode_cursor(encode_cursor((name, key)), tuple[str, UUID])


def test_a_cursor_stands_in_a_url_as_it_is() -> None:
    """No padding, no characters to escape."""
    assert encode_cursor(("Ștefan ?>~", ME)).replace("-", "").replace("_", "").isalnum()


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_changed_cursor_is_refused(at: int, other: str) -> None:
    """Any change of one character is a bad request (or stands for the same bytes)."""
    cursor = encode_cursor(("Ana", ME))
    at %= len(cursor)
    changed = cursor[:at] + other + cursor[at + 1 :]
    try:
        assert decode_cursor(changed, tuple[str, UUID]) == ("Ana", ME)
    except BadRequest:
        assert changed != cursor


def forged(payload: bytes, version: int = 1) -> str:
    """A cursor with a right checksum over whatever we like."""
    sealed = bytes([version]) + zlib.crc32(payload).to_bytes(4, "big") + payload
    return base64.urlsafe_b64encode(sealed).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "é",
        "A",
        "====",
        encode_cursor(("Ana", ME))[:-3],
        encode_cursor(("Ana", 5)),
        encode_cursor(["Ana"]),
        forged(b'["Ana", "01900000-0000-7000-8000-000000000001"]', version=2),
        forged(b'["\\u0000", "01900000-0000-7000-8000-000000000001"]'),
        forged(b"no json"),
        forged(b"[" * 100_000),
    ],
)
def test_what_this_list_did_not_give_out_is_refused(cursor: str) -> None:
    """Damaged, of another list, of another version, or forged with NUL: a bad request."""
    with pytest.raises(BadRequest, match="start again without it"):
        decode_cursor(cursor, tuple[str, UUID])


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_a_moment_that_no_clock_shows_is_refused(at: str) -> None:
    """A forged moment that has no UTC is a bad request, not a failure of the database's driver."""
    with pytest.raises(BadRequest, match="start again without it"):
        decode_cursor(encode_cursor((at, ME)), tuple[datetime, UUID])


def test_pages_say_whether_there_is_more() -> None:
    """The last page has no next cursor."""
    assert Page(items=[1]).model_dump() == {"items": [1], "next_cursor": None}


@pytest.mark.parametrize("limit", [0, 201])
def test_the_size_of_a_page_is_bounded(limit: int) -> None:
    """At least one row, at most two hundred."""
    with pytest.raises(ValidationError):
        PageQuery(limit=limit)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_has_a_time_in_utc(text: str) -> None:
    """What no database can hold is refused; the first and the last second of UTC are not."""
    moment = TypeAdapter[datetime](Moment)
    with pytest.raises(ValidationError, match="not a time between"):
        moment.validate_python(text)
    assert text[:19] == moment.validate_python(f"{text[:19]}Z").isoformat()[:19]


@pytest.mark.parametrize("name", ["as_of", "known_at"])
def test_a_history_is_asked_for_at_a_moment(name: str) -> None:
    """A slip in the year is the caller's mistake."""
    with pytest.raises(ValidationError, match="not a time between"):
        HistoryQuery.model_validate({name: "9999-12-31T23:59:59-14:00"})
