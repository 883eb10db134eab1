"""The one-flush wire when something goes wrong: errors, large batches, broken connections."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from shared.connect import connect
from shared.wire import ConnectionLost, SqlError, Statement, Wire
from tests.contract.wire_stack import SECRET, ask, dbapi


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


def test_an_error_in_the_middle_leaves_the_connection_usable(wire: Wire) -> None:
    """After a failed statement the rest is answered too, and the next exchange is in step."""
    with pytest.raises(SqlError) as refused:
        wire.exchange(
            Statement("select 1"),
            Statement("select 1 / :n::int", {"n": 0}),
            Statement("select 3"),
            Statement("select :n::int", {"n": 4}),
        )
    assert "22012" == refused.value.code
    assert 5 == ask(wire, "select 5")


def test_outside_a_transaction_later_statements_take_effect(wire: Wire) -> None:
    """Statements of one exchange are transactions of their own unless it says BEGIN."""
    with pytest.raises(SqlError):
        wire.exchange(
            Statement("create temp table later (n int)"),
            Statement("select no_such_column"),
            Statement("insert into later values (:n::int)", {"n": 1}),
        )
    assert 1 == ask(wire, "select count(*) from later")
    wire.exchange(Statement("drop table later"))


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_commit_after_an_error_commits_nothing_and_says_so(wire: Wire, after: int) -> None:
    """BEGIN, an error and COMMIT in one flush: the first error, nothing kept, all answers read."""
    table = f"t_{uuid4().hex}"
    wire.exchange(Statement(f"create table {table} (n int primary key)"))
    insert = Statement(f"insert into {table} values (:n::int)", {"n": 1})
    with pytest.raises(SqlError) as refused:
        wire.exchange(
            Statement("begin"),
            insert,
            insert,
            Statement("commit"),
            *[Statement("select 6")] * after,
        )
    assert ("23505", f"{table}_pkey") == (refused.value.code, refused.value.constraint)
    assert 0 == ask(wire, f"select count(*) from {table}")


def test_a_commit_of_a_failed_transaction_is_an_error(wire: Wire) -> None:
    """PostgreSQL answers such a COMMIT with success; the wire does not."""
    wire.exchange(Statement("begin"))
    with pytest.raises(SqlError):
        wire.exchange(Statement("select 1 / 0"))
    with pytest.raises(SqlError) as refused:
        wire.exchange(Statement("commit"), Statement("select 1"))
    assert "25P02" == refused.value.code
    assert 7 == ask(wire, "select 7")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("select :v::int", "22P02"),
        ("insert into people values (:v, 1)", "23505"),
        ("insert into people values (:v, -1)", "23514"),
        ("insert into people values (:v || 'x', null)", "23502"),
        ("select 1 / length(:v) - length(repeat(:v, 2000000000))", "54000"),
        ("do $$ begin raise exception 'for %', 'ana.pop@example.com'; end $$", "P0001"),
        ("select no_such_function(:v::text)", "42883"),
    ],
)
def test_error_texts_hold_no_data(wire: Wire, sql: str, code: str) -> None:
    """Neither the text, the arguments nor the causes of an error repeat a value."""
    wire.exchange(
        Statement(
            "create temp table people (email text primary key, n int not null check (n > 0))"
        ),
        Statement("insert into people values (:v, 1)", {"v": SECRET}),
    )
    with pytest.raises(SqlError) as refused:
        wire.exchange(Statement(sql, {"v": SECRET} if ":v" in sql else {}))
    error: BaseException | None = refused.value
    assert code == refused.value.code
    while error is not None:
        assert SECRET not in str(error) + repr(error.args)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    wire.exchange(Statement("drop table people"))


@pytest.mark.parametrize("count", [2, 9])
def test_large_batches_do_not_deadlock(wire: Wire, count: int) -> None:
    """Megabytes both ways in one exchange: neither side waits for the other to read."""
    text = "ț" * 1_000_000
    batch = [Statement("select :v::text as v", {"v": text}) for _ in range(count)]
    answers = wire.exchange(*batch)
    assert all(text == answer.rows[0]["v"] for answer in answers)


def test_many_small_statements_with_large_answers_do_not_deadlock(wire: Wire) -> None:
    """A thousand requests whose answers fill every buffer."""
    batch = [Statement("select repeat('x', :n::int) as v", {"n": 20_000}) for _ in range(1000)]
    answers = wire.exchange(*batch)
    assert {20_000} == {len(answer.rows[0]["v"]) for answer in answers}


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, RecursionError])
def test_an_interrupted_reader_leaves_no_answers_behind(
    wire: Wire, raised: type[BaseException]
) -> None:
    """Whoever stops in the middle of the answers closes the connection: no one reads the rest."""

    def stop(text: str) -> None:
        raise raised

    wire._core.pg_types[23] = stop
    with pytest.raises(raised):
        wire.exchange(Statement("select 1::int"), Statement("select 2::int"))
    with pytest.raises(ConnectionLost):
        wire.exchange(Statement("select 'x'"))


def test_a_fatal_error_names_its_reason(wire: Wire, url: str) -> None:
    """A connection that the administrator ended says so or is lost; it is never half alive."""
    pid = ask(wire, "select pg_backend_pid()")
    other = connect(url)
    assert ask(other, "select pg_terminate_backend(:pid::int)", pid=pid)
    while ask(other, "select count(*) from pg_stat_activity where pid = :pid::int", pid=pid):
        pass
    with pytest.raises((SqlError, ConnectionLost)) as ended:
        wire.exchange(Statement("select 1"), Statement("select :n::int", {"n": 1}))
    if isinstance(ended.value, SqlError):
        assert "57P01" == ended.value.code
    with pytest.raises(ConnectionLost):
        wire.exchange(Statement("select 1"))
    other.close()


def test_a_silent_server_is_given_up(wire: Wire) -> None:
    """When no answer comes in time the connection is lost, for good."""
    wire._core._usock.settimeout(0.2)
    with pytest.raises(ConnectionLost):
        wire.exchange(Statement("select pg_sleep(:s::float8)", {"s": 1.0}))
    with pytest.raises(ConnectionLost):
        wire.exchange(Statement("select 1"))


def test_closing_twice_is_harmless(wire: Wire) -> None:
    """A closed wire may be closed again and refuses to be used."""
    wire.close()
    wire.close()
    with pytest.raises(ConnectionLost):
        wire.exchange(Statement("select 1"))


def test_refused_and_absent_servers_are_told_apart(url: str, tmp_path: Path) -> None:
    """A wrong password is PostgreSQL's refusal; no server is a lost connection."""
    parts = urlsplit(url)
    with pytest.raises(SqlError) as refused:
        connect(url.replace(parts.password or "", "wrong"))
    assert "28P01" == refused.value.code
    with pytest.raises(SqlError) as unknown:
        connect(url.replace(parts.path, "/no_such_database"))
    assert "3D000" == unknown.value.code
    with pytest.raises(ConnectionLost):
        connect(f"postgresql://x:y@/z?host={tmp_path}")
    with pytest.raises(ConnectionLost):
        connect("postgresql://x:y@127.0.0.1:1/z")


def test_threads_with_wires_of_their_own_get_their_own_answers(url: str) -> None:
    """The statement cache is shared between threads, connections and answers are not."""
    wrong: list[object] = []

    def work(number: int) -> None:
        mine = connect(url)
        for turn in range(150):
            sql = f"select :a::int * 1000 + :b::int as v{turn}"
            found = ask(mine, sql, a=number, b=turn)
            if found != number * 1000 + turn:
                wrong.append((number, turn, found))
        mine.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_a_child_may_drop_its_parents_wire(url: str) -> None:
    """A forked child that lets go of the inherited connection does not end it for the parent."""
    mine = connect(url)
    assert 1 == ask(mine, "select 1")
    child = os.fork()
    if child == 0:
        del mine
        os._exit(0)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert 2 == ask(mine, "select 2")
    mine.close()
