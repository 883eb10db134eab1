"""Seals over the audit log: whatever is done to a sealed row or to a seal is found."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from infra.audit_verify import Finding, verify
from infra.local import postgres
from shared import audit
from shared.audit_seal import path
from shared.audit_seals import ForeignAnchor, seal
from shared.db import Tx
from shared.wire import Statement
from tests.audit_world import SHOW, World


@pytest.fixture
def world(kit_db: Callable[[], str], cluster: postgres.Cluster, tmp_path: Path) -> World:
    return World(kit_db(), cluster, tmp_path / "blobs")


def test_what_is_written_is_sealed_once(world: World) -> None:
    """Each run seals what came since the last one; without anything new there is no seal."""
    assert 0 == seal(world.place)
    world.seal(3, 2)
    assert 0 == seal(world.place)
    world.write(4)
    report = verify(world.place)
    assert (2, 5, 4, []) == (report.seals, report.entries, report.waiting, report.findings)
    assert [path("kit", 1), path("kit", 2)] == list(world.place.store.list("audit/kit"))


def test_a_run_seals_in_batches(world: World) -> None:
    """However many rows wait, no seal covers more than a batch of them."""
    world.write(10)
    assert 10 == seal(world.place, batch=4)
    sizes = world.db.all("select entries from audit_seals order by number")
    assert [4, 4, 2] == [row["entries"] for row in sizes]
    assert [] == world.found()


def test_transactions_are_sealed_in_the_order_of_their_numbers(world: World) -> None:
    """Where the transactions' numbers get a digit more, each row is under one seal all the same."""
    world.write(6)
    numbered = "update audit_log set tx = (97 + (id - (select min(id) from audit_log)))::text::xid8"
    world.superuser.all(f"{numbered} returning id")
    assert 6 == seal(world.place, batch=4)
    seals = world.db.all("select upto_tx::text as upto, entries from audit_seals order by number")
    assert [("100", 4), ("102", 2)] == [(row["upto"], row["entries"]) for row in seals]
    assert [] == world.found()


def test_a_transaction_that_is_under_way_holds_the_seal_back(world: World) -> None:
    """A row that commits late has its place before rows that are sealed only after it."""
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        def work(tx: Tx) -> None:
            audit.record(tx, uuid4(), "write", "profile")
            begun.set()
            go_on.wait(20)

        world.db.transaction(work)
        world.db.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert begun.wait(60)
    world.db.all(SHOW, n=1, **audit.who())
    assert 0 == seal(world.place)
    go_on.set()
    thread.join()
    world.write(1)
    assert 3 == seal(world.place)
    assert [] == world.found()


def test_many_at_once_make_one_chain(world: World) -> None:
    """Jobs that are triggered twice, and writers beside them, leave no row out and none double."""

    def work() -> None:
        for _ in range(15):
            world.db.all(SHOW, n=3, **audit.who())
            seal(world.place, batch=10)
        world.db.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.write(1)
    seal(world.place)
    report = verify(world.place)
    assert (181, 0, []) == (report.entries, report.waiting, report.findings)


def test_a_crash_between_anchor_and_row_is_mended(world: World) -> None:
    """The anchor that lies there already is adopted, although more rows have come since."""
    world.seal(2, 3)
    world.superuser.all("delete from audit_seals where number = 2")
    world.write(4)
    assert 7 == seal(world.place)
    report = verify(world.place)
    assert (3, 9, []) == (report.seals, report.entries, report.findings)


def test_a_change_before_a_crash_is_mended_is_found(world: World) -> None:
    """The anchor counts, not what the rows have become since."""
    world.seal(2, 3)
    world.superuser.all("delete from audit_seals where number = 2")
    world.superuser.all("delete from audit_log where id = 4")
    seal(world.place)
    assert [(2, "removed")] == world.found()


def test_a_restored_log_is_sealed_anew(world: World) -> None:
    """The seals over what the restore lost are reported for good, in place of the rows that came
    since, which are under a seal of their own although their transactions repeat old numbers."""
    world.seal(2, 3, 2)
    end = world.db.all("select max(tx)::text as tx from audit_log")[0]["tx"]
    world.superuser.all("delete from audit_seals where number > 1")
    world.superuser.all("delete from audit_log where id > 2")
    world.write(4)
    # The server restored, too, is at a transaction of before.
    world.superuser.all("update audit_log set tx = :tx::xid8 where id > 7", tx=str(int(end) - 1))
    assert 4 == seal(world.place)
    assert [(2, "removed"), (3, "inserted")] == world.found()
    world.seal(5)
    assert [(2, "removed"), (3, "inserted")] == world.found()
    world.superuser.all("update audit_log set what = 'email' where id = 9")
    assert [(2, "removed"), (3, "inserted"), (4, "changed")] == world.found()


def test_a_crash_after_a_restore_is_mended(world: World) -> None:
    """The anchor behind those of the lost seals is found and adopted with them."""
    world.seal(2, 3, 2)
    world.superuser.all("delete from audit_seals where number > 1")
    world.superuser.all("delete from audit_log where id > 2")
    world.write(4)
    assert 4 == seal(world.place)
    world.superuser.all("delete from audit_seals where number > 1")
    world.write(1)
    assert 5 == seal(world.place)
    report = verify(world.place)
    assert (5, 0) == (report.seals, report.waiting)
    assert [(2, "removed"), (3, "removed")] == world.found()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", None])
def test_a_foreign_anchor_is_not_adopted(world: World, content: bytes | None) -> None:
    """Something else in the anchor's place is an alarm each minute, not a seal."""
    world.seal(2)
    if content is None:
        content = world.anchor(1).read_bytes().replace(b'"number": 1', b'"number": 2')
    world.place.store.create(path("kit", 2), content)
    world.write(1)
    with pytest.raises(ForeignAnchor):
        seal(world.place)
    assert 1 == len(world.db.all("select * from audit_seals"))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "gen_random_uuid()"),
        ("service", "'auth'"),
        ("roles", "'{ADMIN}'"),
        ("person_id", "gen_random_uuid()"),
        ("action", "'write'"),
        ("what", "'anamnesis'"),
        ("purpose", "'TREAT'"),
        ("correlation_id", "'other'"),
        ("at", "at + interval '1 microsecond'"),
    ],
)
def test_a_changed_row_is_found(world: World, column: str, value: str) -> None:
    """Every column is under the seal."""
    world.seal(2, 3, 2)
    world.superuser.all(f"update audit_log set {column} = {value} where id = 4")
    assert [(2, "changed")] == world.found()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("delete from audit_log where id = 4", [(2, "removed")]),
        ("delete from audit_log where id in (1, 7)", [(1, "removed"), (3, "removed")]),
        (
            "insert into audit_log (tx, action, what, purpose)"
            " select tx, action, what, purpose from audit_log where id = 4",
            # Behind the transaction's other rows: where the rows of the next seal begin.
            [(3, "inserted")],
        ),
        (
            "insert into audit_log (tx, action, what, purpose)"
            " values ('3', 'read', 'profile', 'TREAT')",
            [(1, "inserted")],
        ),
        ("update audit_log set tx = '3' where id = 4", [(1, "inserted"), (2, "removed")]),
        ("truncate audit_log", [(1, "removed"), (2, "removed"), (3, "removed")]),
        (
            "delete from audit_log where id > 5; delete from audit_seals where number = 3",
            [(3, "truncated"), (3, "truncated")],
        ),
        (
            "truncate audit_log; truncate audit_seals",
            [(n, "truncated") for n in (1, 1, 2, 2, 3, 3)],
        ),
        ("delete from audit_seals where number = 3", [(3, "truncated")]),
        ("delete from audit_seals where number = 2", [(2, "removed")]),
        ("update audit_seals set entries = 2 where number = 2", [(2, "forged")]),
        ("update audit_seals set mac = mac || '0' where number = 3", [(3, "forged")]),
        (
            "update audit_seals set root = sha256('x') where number = 1",
            [(1, "forged")],
        ),
    ],
)
def test_what_was_done_to_the_log_is_named(
    world: World, sql: str, expected: list[tuple[int, str]]
) -> None:
    """Rows 1-2, 3-5 and 6-7 are sealed; what a superuser does to them or to a seal is found, by
    the seal and by what it is."""
    world.seal(2, 3, 2)
    for statement in sql.split("; "):
        world.superuser.pipeline(Statement(statement))
    assert expected == world.found()


def test_a_rewritten_history_is_found(world: World) -> None:
    """Rows changed and seals made anew, with new anchors even: they lack the service's word."""
    world.seal(2, 3)
    world.superuser.all("delete from audit_log where id = 4")
    shown = json.loads(world.anchor(2).read_bytes())
    shown["entries"] = 2
    world.anchor(2).write_text(json.dumps(shown))
    world.superuser.all("update audit_seals set entries = 2 where number = 2")
    assert [(2, "forged")] == world.found()


def test_a_seal_without_its_anchor_is_found(world: World) -> None:
    """Also where somebody could remove objects: the seal itself is checked all the same."""
    world.seal(2, 3)
    world.anchor(2).unlink()
    world.superuser.all("update audit_log set what = 'email' where id = 4")
    assert [(2, "forged"), (2, "changed")] == world.found()
    world.superuser.all("delete from audit_seals where number = 1")
    world.anchor(1).unlink()
    assert [(1, "removed"), (2, "forged"), (2, "changed")] == world.found()


def test_another_services_log_is_not_ours(world: World) -> None:
    """Seals and anchors copied from another service do not hold."""
    world.seal(2)
    shown = json.loads(world.anchor(1).read_bytes())
    other = world.place._replace(service="other")
    other.store.create(path("other", 1), json.dumps({**shown, "service": "other"}).encode())
    assert [Finding(1, "forged", "the service did not make it")] == verify(other).findings


def test_a_key_that_was_rotated_still_vouches(world: World) -> None:
    """Seals name the version of the key they were made with."""
    world.seal(2)
    world.place.vault.rotate()
    world.seal(2)
    assert [] == world.found()


def test_rows_from_an_older_server_raise_an_alarm(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Transactions numbered below the last seal would never be sealed: the job says so."""
    world.seal(1)
    world.superuser.all("update audit_seals set upto_tx = '9000000000'")
    world.write(1)
    assert 0 == seal(world.place)
    assert "audit_order_behind" in capsys.readouterr().out


def test_a_hundred_thousand_rows_are_sealed_and_checked(world: World) -> None:
    """At most 50,000 rows are under a seal, and a check reads them in pages."""
    for _ in range(5):
        world.write(20_000)
    # A slow machine may need more than one run.
    assert 100_000 == sum(iter(lambda: seal(world.place), 0))
    report = verify(world.place)
    assert (2, 100_000, []) == (report.seals, report.entries, report.findings)
