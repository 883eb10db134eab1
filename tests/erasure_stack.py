"""What tests of erasures share: a person, a look into every table, dumps and restores."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from infra.local import postgres
from shared.config import config
from shared.crypto import blind_index
from shared.db import Database
from tests.platform import CNP, Platform

__all__ = ["ANAMNESIS", "EMAIL", "NEEDLES", "WHOLE", "as_superuser", "dump", "enter", "erase"]
__all__ += ["follow", "found_in", "found_in_blobs", "restore"]

EMAIL = "zenobiella.quillfeather@example.com"
WHOLE = {
    "first_name": "Zenobiella",
    "last_name": "Quillfeather",
    "national_id": CNP,
    "phone": "+40721998877",
    "birth_date": "1995-01-01",
}
ANAMNESIS = {"allergies": "penicillin-quillfeather", "notes": "afraid of quillfeathers"}
# Long enough that no ciphertext and no token has one of them by chance.
NEEDLES: tuple[str | bytes, ...] = (
    *("zenobiella", "quillfeather", CNP, "40721998877", "1995-01-01"),
    # What finds her without naming her.
    blind_index("national_id", CNP),
)

_COLUMNS = """
select c.relname as table, a.attname as column, a.atttypid = 'bytea'::regtype as binary
  from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0
   and not a.attisdropped
 order by 1, 2
"""


def enter(platform: Platform, email: str = EMAIL, **more: Any) -> tuple[str, str]:
    """Somebody registers with everything there is to know: (patient_id, access token)."""
    made = platform.register(email, **{**WHOLE, **more})
    token = platform.token(email)
    path = f"/api/patients/{made['patient_id']}/anamnesis"
    etag = platform.call("GET", path, token=token).headers["ETag"]
    written = platform.call("PUT", path, ANAMNESIS, token=token, headers={"If-Match": etag})
    assert 200 == written.status_code, written.text
    platform.drain()
    return str(made["patient_id"]), token


def erase(platform: Platform, patient_id: str, token: str) -> str:
    """Ask for the erasure; its id."""
    answer = platform.call("POST", "/api/auth/erasures", {"patient_id": patient_id}, token=token)
    assert 202 == answer.status_code, answer.text
    found = str((answer.json or {})["erasure_id"])
    assert f"/api/auth/erasures/{found}" == answer.headers["Location"]
    return found


def follow(platform: Platform, erasure_id: str) -> dict[str, Any]:
    """How far it is."""
    answer = platform.call("GET", f"/api/auth/erasures/{erasure_id}")
    assert 200 == answer.status_code, answer.text
    found: dict[str, Any] = answer.json or {}
    return found


def as_superuser(cluster: postgres.Cluster, db: Database) -> Database:
    """The same database, for who may see everything."""
    name = db.all("select current_database() as name")[0]["name"]
    return Database(
        postgres.database_url(cluster.socket_dir, "postgres", cluster.password, str(name))
    )


def found_in(db: Database, needles: Iterable[str | bytes] = NEEDLES) -> set[str]:
    """``table.column`` of every column, of whatever type, that holds one of ``needles``."""
    wanted = list(needles)
    texts = [f"%{needle}%" for needle in wanted if isinstance(needle, str)]
    blobs = [needle if isinstance(needle, bytes) else needle.encode() for needle in wanted]
    found = set()
    for row in db.all(_COLUMNS):
        column = f'"{row["column"]}"'
        condition = f"{column}::text ilike any(:texts::text[])"
        if row["binary"]:
            any_of = "unnest(:blobs::bytea[]) as b(needle)"
            condition = f"exists (select from {any_of} where position(needle in {column}) > 0)"
        sql = f'select count(*) as n from "{row["table"]}" where {condition}'
        given: dict[str, Any] = {"blobs": blobs} if row["binary"] else {"texts": texts}
        if db.all(sql, **given)[0]["n"]:
            found.add(f"{row['table']}.{row['column']}")
    return found


def found_in_blobs(needles: Sequence[str | bytes] = NEEDLES) -> set[str]:
    """Objects, by path, whose name or content holds one of ``needles``."""
    root = Path(unquote(urlsplit(config().blobs_url).path))
    wanted = [n if isinstance(n, bytes) else n.encode() for n in needles]
    found = set()
    for path in (path for path in root.rglob("*") if path.is_file()):
        whole = str(path).lower().encode() + path.read_bytes().lower()
        if any(needle.lower() in whole for needle in wanted):
            found.add(str(path))
    return found


def dump(cluster: postgres.Cluster, db: Database, path: Path) -> None:
    """Back ``db`` up with pg_dump."""
    _run(cluster, "pg_dump", as_superuser(cluster, db), "--format=custom", f"--file={path}")


def restore(cluster: postgres.Cluster, db: Database, path: Path) -> None:
    """Bring ``db`` back to what the dump in ``path`` holds, as an operator does."""
    db.close()
    _run(cluster, "pg_restore", as_superuser(cluster, db), "--clean", "--if-exists", str(path))


def _run(cluster: postgres.Cluster, program: str, db: Database, *arguments: str) -> None:
    name = db.all("select current_database() as name")[0]["name"]
    db.close()
    subprocess.run(
        [
            *(str(cluster.bin / program), "--host", cluster.socket_dir, "--username", "postgres"),
            *("--dbname", str(name), *arguments),
        ],
        env={"PGPASSWORD": cluster.password},
        check=True,
        capture_output=True,
    )
