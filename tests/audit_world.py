"""A service's audit log with its seals and anchors, and somebody who may do anything to them."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from infra.audit_verify import verify
from infra.local import postgres
from shared import audit
from shared.audit_seal import path
from shared.audit_seals import Place, seal
from shared.blobs import Blobs
from shared.crypto import Vault
from shared.db import Database

__all__ = ["SHOW", "World"]

SHOW = audit.audited(
    "select gen_random_uuid() as person_id from generate_series(1, :n)",
    action="read",
    what="profile",
)
# PostgreSQL's own transactions (it analyses tables) count, too.
_READY = """
select coalesce(pg_snapshot_xmin(pg_current_snapshot()) > max(tx), true) as ready
  from audit_log where epoch = (select epoch from event_epochs)
"""


class World:
    """A service's log, its seals and anchors, and somebody who may do anything."""

    def __init__(self, url: str, cluster: postgres.Cluster, directory: Path) -> None:
        name = urlsplit(url).path.lstrip("/")
        self.db = Database(url)
        self.directory = directory
        self.place = Place("kit", self.db, Vault(self.db), Blobs(directory.as_uri()))
        self.superuser = Database(
            postgres.database_url(cluster.socket_dir, "postgres", cluster.password, name)
        )

    def write(self, rows: int) -> None:
        """So many reads of people's data, which nothing else holds back from being sealed."""
        self.db.all(SHOW, n=rows, **audit.who())
        deadline = time.monotonic() + 60
        while not self.db.all(_READY)[0]["ready"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def seal(self, *batches: int) -> None:
        """A seal over each of these numbers of rows."""
        for rows in batches:
            self.write(rows)
            assert rows == seal(self.place)

    def found(self) -> list[tuple[int, str]]:
        """What verification says: the seals and what is wrong with each."""
        return [(finding.number, finding.what) for finding in verify(self.place).findings]

    def anchor(self, number: int) -> Path:
        """The file of an anchor."""
        return self.directory / path("kit", number)
