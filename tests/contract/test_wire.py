"""The one-flush wire over both of pg8000's connections: types, parameters, one flush."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pg8000.core
import pg8000.dbapi
import pg8000.native
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.connect import connect
from shared.wire import Statement, Wire
from tests.contract.wire_stack import ask, dbapi


@pytest.fixture(scope="module")
def url(new_db: Callable[[], str]) -> str:
    """One database for this module."""
    return new_db()


@pytest.fixture(params=[connect, dbapi], ids=["native", "dbapi"])
def wire(request: pytest.FixtureRequest, url: str) -> Iterator[Wire]:
    """A wire over each kind of connection."""
    made: Wire = request.param(url)
    # A test that hangs must fail instead.
    made._core._usock.settimeout(20)
    yield made
    made.close()


def test_what_we_rely_on_in_pg8000_exists_in_the_pinned_version(wire: Wire) -> None:
    """The members the wire uses are there, and requirements.in pins the version they are in."""
    pinned = re.search(r"^pg8000==(\S+)$", Path("requirements.in").read_text(), re.MULTILINE)
    assert pinned is not None
    assert pinned[1] == importlib.metadata.version("pg8000")
    core = wire._core
    assert isinstance(core, pg8000.core.CoreConnection)
    for name in (
        "_sock",
        "_usock",
        "py_types",
        "pg_types",
        "message_types",
        "close",
        "_client_encoding",
    ):
        assert hasattr(core, name)
    text, values = pg8000.native.to_statement("select :a::int, :b, :a")
    assert "select $1::int, $2, $1" == text
    assert (1, 2) == values({"a": 1, "b": 2})
    context = pg8000.core.Context("select 1")
    for name in ("rows", "row_count", "error", "statement", "stream"):
        assert hasattr(context, name)


@pytest.mark.parametrize(
    ("cast", "value"),
    [
        ("uuid", UUID("0199a0b0-0000-7000-8000-0000000000ff")),
        ("timestamptz", datetime(2026, 1, 15, 10, 30, 0, 123456, tzinfo=UTC)),
        ("timestamptz", datetime(2026, 1, 15, 10, 30, tzinfo=UTC)),
        ("date", date(2024, 2, 29)),
        ("bytea", bytes(range(256))),
        ("bytea", b""),
        ("text", "Ștefănescu 牙 🦷 'quoted' \"double\" \\ back\nline"),
        ("text", ""),
        ("text", None),
        ("numeric", Decimal("12345678901234567890.000000001")),
        ("float8", 0.1),
        ("bool", True),
        ("bool", False),
        ("bigint", -(2**63)),
        ("jsonb", {"a": [1, 2.5, None, "ț", {"b": True}], "": {}}),
        ("interval", timedelta(days=3, seconds=7, microseconds=9)),
        ("text[]", []),
        ("text[]", ["null", "NULL", "", " ", 'a"b', "c\\d", "{e,f}", "ț\n", None]),
        ("uuid[]", [UUID(int=1), UUID(int=2**128 - 1)]),
        ("bigint[]", [1, -2, 2**62]),
        ("bytea[]", [b"", b"\\", bytes(range(256))]),
        ("date[]", [date(2020, 1, 1), None]),
        ("text[]", [["a", "null"], ["b", 'c"']]),
    ],
)
def test_values_survive_the_round_trip(wire: Wire, cast: str, value: object) -> None:
    """A parameter comes back equal and of the same type."""
    found = ask(wire, f"select :value::{cast}", value=value)
    assert value == found
    assert type(value) is type(found)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_list_of_texts_survives(url: str, values: list[str | None]) -> None:
    """Whatever an array of texts holds (but NUL) arrives as it was."""
    clean = [value if value is None else value.replace("\0", "") for value in values]
    one = _shared(url)
    assert clean == ask(one, "select :value::text[]", value=clean)


_wires: dict[str, Wire] = {}


def _shared(url: str) -> Wire:
    return _wires.setdefault(url, connect(url))


def test_local_times_are_sent_as_instants(wire: Wire) -> None:
    """A datetime of any zone names the same instant in the database."""
    moment = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=3)))
    assert moment == ask(wire, "select :at::timestamptz", at=moment)


def test_a_statement_without_parameters_is_sent_as_it_stands(wire: Wire) -> None:
    """Colons in comments, slices and bodies of functions are nobody's parameters."""
    sql = "do $body$ declare n int; begin n := 1; /* note: not :this */ end $body$; select 'a:b'"
    assert "a:b" == wire.exchange(Statement(sql))[0].rows[0]["?column?"]


def test_one_name_may_be_used_twice(wire: Wire) -> None:
    """A parameter is bound once however often it is named."""
    assert 9 == ask(wire, "select :n::int + :n::int + :m::int", n=4, m=1)


def test_a_missing_parameter_sends_nothing(wire: Wire) -> None:
    """A forgotten parameter is a KeyError, and the connection stays usable."""
    with pytest.raises(KeyError):
        wire.exchange(Statement("select 1"), Statement("select :a::int, :b::int", {"a": 1}))
    assert 2 == ask(wire, "select 2")


class _Counting:
    """A socket file that counts writes and flushes."""

    def __init__(self, sock: Any) -> None:
        self._sock, self.writes, self.flushes = sock, 0, 0

    def write(self, data: bytes) -> int:
        self.writes += 1
        return int(self._sock.write(data))

    def flush(self) -> None:
        self.flushes += 1
        self._sock.flush()

    def read1(self, size: int) -> bytes:
        return bytes(self._sock.read1(size))


def test_an_exchange_is_one_write_and_one_flush(wire: Wire) -> None:
    """However many statements travel together, they are one flush."""
    counting = wire._core._sock = _Counting(wire._core._sock)
    answers = wire.exchange(
        Statement("begin"),
        Statement("select :a::int as a", {"a": 1}),
        Statement("select :a::text as b", {"a": "x" * 60_000}),
        Statement("commit"),
    )
    assert [[], [{"a": 1}], [{"b": "x" * 60_000}], []] == [answer.rows for answer in answers]
    assert (1, 1) == (counting.writes, counting.flushes)


def test_counts_are_of_rows_touched(wire: Wire) -> None:
    """Each answer says how many rows its statement touched."""
    answers = wire.exchange(
        Statement("create temp table counted (n int)"),
        Statement("insert into counted select generate_series(1, :n::int)", {"n": 7}),
        Statement("update counted set n = 0 where n > :n::int", {"n": 4}),
        Statement("delete from counted where n = 99"),
        Statement("select n from counted where n = 0"),
    )
    assert [0, 7, 3, 0, 3] == [answer.count for answer in answers]
    wire.exchange(Statement("drop table counted"))
