"""Migrations: forward only, once, alone; and what the runtime role may do afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from infra import migrate as module
from infra.local import postgres
from infra.migrate import MigrationChanged, migrate
from shared.db import Database, UniqueViolation
from shared.errors import Unavailable
from shared.wire import SqlError

ROLE = "clinic_t"


@pytest.fixture
def made(cluster: postgres.Cluster) -> postgres.ServiceDatabase:
    """An empty database with an owner and a runtime role."""
    name = f"m_{uuid4().hex[:12]}"
    return postgres.create_service_database(
        cluster, name, ROLE, password="runtime", owner_password="owner"
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree with one migration of the kit and two of the service ``clinic``."""
    monkeypatch.setattr(module, "ROOT", tmp_path)
    write(tmp_path, "shared/sql/migrations/0001_kit.sql", "create table kit (n int primary key);")
    own = "functions/clinic/migrations"
    write(tmp_path, f"{own}/0001_chairs.sql", "create table chair (id int primary key);")
    write(
        tmp_path,
        f"{own}/0002_more.sql",
        "-- 'quotes', a :colon and\n/* another: comment */\n"
        "create table room (id int generated always as identity primary key, span int[]);\n"
        "create function middle(a int[]) returns int[] language plpgsql as $fn$\n"
        "declare b int[]; begin b := a[2:3]; return b; end $fn$;\n"
        "insert into chair values (1), (2);\n",
    )
    return tmp_path


def write(root: Path, name: str, sql: str) -> None:
    """Write a migration."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(sql)


def names(url: str) -> list[str]:
    """What is recorded as applied."""
    db = Database(url)
    rows = db.all("select name from schema_migrations order by applied_at")
    db.close()
    return [row["name"] for row in rows]


EVERYTHING = ["kit/0001_kit.sql", "clinic/0001_chairs.sql", "clinic/0002_more.sql"]


def test_each_file_is_applied_once_in_order(root: Path, made: postgres.ServiceDatabase) -> None:
    """The kit's come first; a second run has nothing to do, a third only what is new."""
    assert EVERYTHING == migrate(made.owner_url, "clinic", role=ROLE)
    assert [] == migrate(made.owner_url, "clinic", role=ROLE)
    write(root, "functions/clinic/migrations/0003_desk.sql", "create table desk (id int);")
    assert ["clinic/0003_desk.sql"] == migrate(made.owner_url, "clinic", role=ROLE)
    assert [*EVERYTHING, "clinic/0003_desk.sql"] == names(made.owner_url)
    db = Database(made.url)
    assert [{"m": [2, 3]}] == db.all("select middle('{1,2,3,4}') as m")
    assert [] == db.all("select * from desk")
    db.close()


def test_an_edited_file_is_refused(root: Path, made: postgres.ServiceDatabase) -> None:
    """What was applied must not change; nothing after it is applied either."""
    migrate(made.owner_url, "clinic", role=ROLE)
    write(root, "functions/clinic/migrations/0001_chairs.sql", "create table chair (id bigint);")
    write(root, "functions/clinic/migrations/0003_desk.sql", "create table desk (id int);")
    with pytest.raises(MigrationChanged, match=r"0001_chairs\.sql"):
        migrate(made.owner_url, "clinic", role=ROLE)
    assert EVERYTHING == names(made.owner_url)


def test_a_failing_file_leaves_nothing_behind(root: Path, made: postgres.ServiceDatabase) -> None:
    """A file is one transaction: mended, it runs as if for the first time."""
    bad = "functions/clinic/migrations/0003_bad.sql"
    write(root, bad, "create table half (id int); insert into chair values (1);")
    with pytest.raises(UniqueViolation):
        migrate(made.owner_url, "clinic", role=ROLE)
    assert EVERYTHING == names(made.owner_url)
    write(root, bad, "create table half (id int);")
    assert ["clinic/0003_bad.sql"] == migrate(made.owner_url, "clinic", role=ROLE)


def test_grants_lost_to_a_crash_are_made_by_the_next_run(
    root: Path, made: postgres.ServiceDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that dies between its last file and the grants is completed by the next."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_grant", die)
        with pytest.raises(KeyboardInterrupt):
            migrate(made.owner_url, "clinic", role=ROLE)
    assert [] == migrate(made.owner_url, "clinic", role=ROLE)
    db = Database(made.url)
    assert 2 == len(db.all("select id from chair"))
    db.close()


def test_runs_at_once_apply_each_file_once(root: Path, made: postgres.ServiceDatabase) -> None:
    """Of several runs at the same time one does each step, the others wait; none fails."""
    applied: list[str] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            applied.extend(migrate(made.owner_url, "clinic", role=ROLE))
        except BaseException as error:  # noqa: BLE001 -- shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [] == failures
    assert sorted(EVERYTHING) == sorted(applied)


@pytest.mark.parametrize(
    "sql",
    [
        "create table mine (id int)",
        "create schema mine",
        "create temp table mine (id int)",
        "alter table chair add column n int",
        "drop table chair",
        "truncate chair",
        "create index on chair (id)",
        "create role mine",
        "alter table chair owner to clinic_t",
        "alter role clinic_t createdb",
        "set role clinic_t_owner",
        "create database mine",
        "select * from schema_migrations",
        "insert into schema_migrations values ('x', 'y')",
        "update schema_migrations set sha256 = 'x'",
        "delete from schema_migrations",
        "select pg_read_file('PG_VERSION')",
        "copy chair to program 'true'",
        "select * from pg_authid",
    ],
)
def test_the_runtime_role_may_not(root: Path, made: postgres.ServiceDatabase, sql: str) -> None:
    """It reads and writes rows; everything else is refused with 42501."""
    migrate(made.owner_url, "clinic", role=ROLE)
    db = Database(made.url)
    with pytest.raises(SqlError) as refused:
        db.all(sql)
    assert "42501" == refused.value.code
    db.close()


def test_the_runtime_role_reads_and_writes_rows(root: Path, made: postgres.ServiceDatabase) -> None:
    """Rows, and the sequences behind them, are what it may use."""
    migrate(made.owner_url, "clinic", role=ROLE)
    db = Database(made.url)
    assert [{"id": 1}] == db.all("insert into room default values returning id")
    db.all("insert into chair values (9)")
    db.all("update chair set id = 10 where id = 9")
    assert [{"id": 10}] == db.all("delete from chair where id > 2 returning id")
    db.close()


def test_services_cannot_reach_each_others_databases(
    root: Path, made: postgres.ServiceDatabase, cluster: postgres.Cluster
) -> None:
    """A service's roles connect to its own database only, not even to ``postgres``."""
    name = f"m_{uuid4().hex[:12]}"
    other = postgres.create_service_database(
        cluster, name, "other_t", password="runtime", owner_password="owner"
    )
    for url in (other.url, other.owner_url):
        Database(url).one("select 1")
        for place in (made.url.partition("@/")[2].partition("?")[0], "postgres", "template1"):
            head, _, tail = url.partition("@/")
            with pytest.raises(Unavailable):
                Database(f"{head}@/{place}?{tail.partition('?')[2]}").one("select 1")


def test_the_runtime_role_has_limits(made: postgres.ServiceDatabase) -> None:
    """Abandoned transactions and waits end by themselves."""
    db = Database(made.url)
    limits = db.one(
        "select current_setting('transaction_timeout') as transaction,"
        " current_setting('idle_in_transaction_session_timeout') as idle,"
        " current_setting('lock_timeout') as lock, current_setting('statement_timeout') as one"
    )
    assert {"transaction": "1min", "idle": "30s", "lock": "10s", "one": "30s"} == limits
    db.close()


def test_the_repositorys_own_migrations_apply(
    cluster: postgres.Cluster, service_db: Callable[[str], str], bus_url: str
) -> None:
    """The kit's tables exist for a service, and the bus's for the bus."""
    for url, table in ((service_db("kit"), "outbox"), (bus_url, "delivery")):
        db = Database(url)
        assert 0 <= db.all(f"select count(*) as n from {table}")[0]["n"]
        db.close()
