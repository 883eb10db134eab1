"""Epochs of the audit log: what is written after a restore is sealed behind what was before it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from infra import migrate as migrations
from infra.audit_verify import verify
from infra.local import postgres
from shared import audit
from shared.audit_seal import beginning, path
from shared.audit_seals import seal
from shared.db import Tx
from shared.event_gate import bump_epoch
from shared.wire import Statement
from tests.audit_world import SHOW, World
from tests.integration.db_stack import together

_ROLE = "kit_t"
# Each of these takes a transaction number, as any other work on the server does.
_AHEAD = """
do $$ begin for n in 1..5000 loop perform pg_current_xact_id(); commit; end loop; end $$
"""
_OLD = """
select id, tx::text as tx, roles, person_id::text as person,
       to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at
  from audit_log order by id
"""


@pytest.fixture
def world(kit_db: Callable[[], str], cluster: postgres.Cluster, tmp_path: Path) -> World:
    return World(kit_db(), cluster, tmp_path / "blobs")


@pytest.fixture(scope="module")
def younger() -> Iterator[postgres.Cluster]:
    """Another server, which has seen fewer transactions."""
    directory = Path(tempfile.mkdtemp(prefix="dentalhelp-younger-"))
    running = postgres.start(directory / "data", {"fsync": "off"})
    yield running
    running.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def loaded(world: World, cluster: postgres.Cluster, younger: postgres.Cluster) -> World:
    """A log of two seals and a row without one, dumped and loaded into a younger server; a seal
    that was made after the dump is lost."""
    world.superuser.all(_AHEAD)
    world.seal(2, 3)
    world.write(1)
    name = str(world.db.all("select current_database() as name")[0]["name"])
    file = world.directory.parent / "dump"
    source = postgres.database_url(cluster.socket_dir, "postgres", cluster.password, name)
    subprocess.run([cluster.bin / "pg_dump", "-Fc", "-f", file, source], check=True)
    world.write(2)
    assert 3 == seal(world.place)
    made = postgres.create_service_database(
        younger, name, _ROLE, password="runtime", owner_password="owner"
    )
    target = postgres.database_url(younger.socket_dir, "postgres", younger.password, name)
    subprocess.run([younger.bin / "pg_restore", "-e", "-d", target, file], check=True)
    return World(made.url, younger, world.directory)


def _announce(world: World) -> None:
    """What ``make restored`` does."""
    assert 2 == world.superuser.transaction(bump_epoch, isolation="READ COMMITTED")


def test_a_dump_in_a_younger_server_goes_on(loaded: World) -> None:
    """With a new epoch what is written there is sealed at once, behind all that came with the
    dump; only what was lost is reported, and a later change is found as ever."""
    _announce(loaded)
    loaded.write(4)
    assert 5 == seal(loaded.place)
    assert [(3, "removed")] == loaded.found()
    loaded.seal(2)
    report = verify(loaded.place)
    assert (5, 0) == (report.seals, report.waiting)
    assert [3] == [finding.number for finding in report.findings]
    places = loaded.db.all(
        "select after_epoch, upto_epoch, upto_tx < after_tx as lower from audit_seals"
        " where number > 3 order by number"
    )
    found = [(row["after_epoch"], row["upto_epoch"], row["lower"]) for row in places]
    assert [(1, 2, True), (2, 2, False)] == found
    newest = loaded.db.all("select max(id) as id from audit_log")[0]["id"]
    loaded.superuser.all("update audit_log set what = 'email' where id = :id", id=newest)
    assert [(3, "removed"), (5, "changed")] == loaded.found()


def test_without_a_new_epoch_nothing_is_sealed(
    loaded: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job says so, and rows are written in between what is sealed: the check calls them
    inserted. The new epoch ends it for what comes after."""
    loaded.db.all(SHOW, n=4, **audit.who())
    assert 0 == seal(loaded.place)
    assert "audit_order_behind" in capsys.readouterr().out
    assert (1, "inserted") in loaded.found()
    _announce(loaded)
    loaded.write(2)
    assert 3 == seal(loaded.place)
    assert {(1, "inserted"), (3, "removed")} == set(loaded.found())


def _before_epochs(cluster: postgres.Cluster, directory: Path) -> tuple[str, str]:
    """A database as it was before audit rows had epochs: the owner's and the runtime's URL."""
    old = directory / "old"
    shutil.copytree(
        migrations.ROOT / "shared" / "sql" / "migrations", old / "shared/sql/migrations"
    )
    for file in (old / "shared" / "sql" / "migrations").glob("*.sql"):
        if file.name >= "0011":
            file.unlink()
    made = postgres.create_service_database(
        cluster, f"e_{uuid4().hex[:12]}", _ROLE, password="runtime", owner_password="owner"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "ROOT", old)
        migrations.migrate(made.owner_url, "kit", role=_ROLE)
    return made.owner_url, made.url


def _old_seal(world: World) -> None:
    """Seal all rows as it was done then, spelled out."""
    rows, root = world.db.all(_OLD), hashlib.sha256(beginning("kit"))
    for row in rows:
        head = [row["id"], row["tx"], row["at"], None, None, row["roles"], row["person"]]
        line = [*head, "read", "profile", "HOPERAT", None]
        root.update(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    shown = {
        "service": "kit",
        "number": 1,
        "after": ["0", "0"],
        "upto": [rows[-1]["tx"], str(rows[-1]["id"])],
        "entries": len(rows),
        "previous": beginning("kit").hex(),
        "root": root.hexdigest(),
        "sealed_at": "2026-01-15T10:00:00.000000+00:00",
        "mac": "",
    }
    mac = world.place.vault.mac("audit", json.dumps(shown, sort_keys=True).encode())
    anchor = json.dumps({**shown, "mac": mac.hex()}, sort_keys=True).encode()
    assert world.place.store.create(path("kit", 1), anchor)
    world.db.all(
        "insert into audit_seals (number, after_tx, after_id, upto_tx, upto_id, entries, root,"
        " previous, mac, sealed_at) values (1, '0', 0, :tx::text::xid8, :id, :n, :root, :previous,"
        " :mac, '2026-01-15T10:00:00Z')",
        tx=rows[-1]["tx"],
        id=rows[-1]["id"],
        n=len(rows),
        root=root.digest(),
        previous=beginning("kit"),
        mac=mac,
    )


def test_seals_from_before_epochs_stay_valid(cluster: postgres.Cluster, tmp_path: Path) -> None:
    """A log that was sealed before is sound after the migration, and goes on in the epoch that
    its events are in."""
    owner_url, url = _before_epochs(cluster, tmp_path)
    world = World(url, cluster, tmp_path / "blobs")
    world.db.all(SHOW, n=3, **audit.who())
    _old_seal(world)
    world.db.all(SHOW, n=2, **audit.who())
    _announce(world)
    assert "kit/0011_audit_epoch.sql" in migrations.migrate(owner_url, "kit", role=_ROLE)
    assert [] == world.found()
    world.write(1)
    assert 3 == seal(world.place)
    rows = world.db.all("select epoch, count(*) as n from audit_log group by epoch order by epoch")
    assert [(1, 5), (2, 1)] == [(row["epoch"], row["n"]) for row in rows]
    report = verify(world.place)
    assert (2, 6, 0, []) == (report.seals, report.entries, report.waiting, report.findings)
    world.superuser.all("update audit_log set what = 'email' where id = 2")
    assert [(1, "changed")] == world.found()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # It stays where it is in the order: the last one of its epoch.
        ("update audit_log set epoch = 2 where id = 5", [(2, "changed")]),
        ("update audit_log set epoch = 2 where id = 4", [(2, "changed")]),
        ("update audit_log set epoch = 2 where id = 1", [(1, "removed"), (2, "inserted")]),
        ("update audit_log set epoch = 3 where id = 1", [(1, "removed")]),
        ("update audit_log set epoch = 0 where id = 7", [(1, "inserted"), (2, "removed")]),
        (
            "insert into audit_log (epoch, tx, action, what, purpose)"
            " values (-1, '5', 'read', 'profile', 'TREAT')",
            [(1, "inserted")],
        ),
        ("update audit_seals set upto_epoch = 1 where number = 2", [(2, "forged")]),
    ],
)
def test_what_was_done_to_an_epoch_is_named(
    world: World, sql: str, expected: list[tuple[int, str]]
) -> None:
    """Rows 1-3 are under a seal of the first epoch, rows 4-5 of it and 6-7 of the second under
    one; each row's epoch is under its seal, too."""
    world.seal(3)
    world.write(2)
    _announce(world)
    world.write(2)
    assert 4 == seal(world.place)
    assert [] == world.found()
    world.superuser.pipeline(Statement(sql))
    assert expected == world.found()


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_writes_to_the_new_epoch(world: World, isolation: str) -> None:
    """Who had begun before the epoch, and shows data after it, leaves no row in the old one."""
    world.seal(1)

    def work(tx: Tx) -> None:
        tx.all("select 1 from service_keys")  # the snapshot
        together(lambda: _announce(world))
        tx.all(SHOW, n=2, **audit.who())

    world.db.transaction(work, isolation=isolation)  # type: ignore[arg-type]
    rows = world.db.all("select epoch, count(*) as n from audit_log group by epoch order by epoch")
    assert [(1, 1), (2, 2)] == [(row["epoch"], row["n"]) for row in rows]
    world.write(1)
    assert 3 == seal(world.place)
    assert [] == world.found()


def test_the_epoch_waits_for_accesses_under_way(world: World) -> None:
    """It begins when every access of the old one has ended: no seal leaves its row out."""
    begun = threading.Event()
    order: list[str] = []

    def bump(tx: Tx) -> None:
        begun.set()
        bump_epoch(tx)
        order.append("bumped")

    def work(tx: Tx) -> threading.Thread:
        tx.all(SHOW, n=1, **audit.who())
        thread = threading.Thread(target=world.superuser.transaction, args=(bump,))
        thread.start()
        begun.wait(60)
        thread.join(0.2)
        order.append("shown")
        return thread

    world.db.transaction(work).join(60)
    assert ["shown", "bumped"] == order
    assert [1] == [row["epoch"] for row in world.db.all("select epoch from audit_log")]
