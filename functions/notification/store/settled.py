"""Up to which version what could be told of a thing, such as an appointment, is out of date."""

from __future__ import annotations

from uuid import UUID

from shared.db import Tx

__all__ = ["purge", "raise_to", "version"]

_RAISE = """
insert into settled (about, person_id, version) values (:about, :person_id, :version)
on conflict (about) do update set version = greatest(settled.version, :version),
   seen_at = clock_timestamp()
returning version
"""


def raise_to(tx: Tx, about: UUID, person_id: UUID, version: int) -> int:
    """What came before ``version`` is out of date; the newest such version we know."""
    return int(tx.value(_RAISE, about=about, person_id=person_id, version=version))


def version(tx: Tx, about: UUID) -> int:
    """What came before this version is out of date; 0 where nothing is."""
    return int(tx.value("select version from settled where about = :about", about=about) or 0)


def purge(tx: Tx) -> int:
    """Of what nothing was heard for a year, nothing is late any more."""
    return tx.run("delete from settled where seen_at < now() - interval '1 year'")
