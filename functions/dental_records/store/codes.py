"""Code systems: the shipped one, read from its file, and those the operator has loaded."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from shared.db import Database, Row, Tx
from shared.runtime import database

__all__ = ["SHIPPED", "Code", "count", "find", "load", "search", "systems", "title"]

_FILE = Path(__file__).parents[1] / "icd-10.csv"


class Code(NamedTuple):
    """One code: refused for new records once it is withdrawn."""

    code: str
    title: str
    withdrawn: bool = False


SHIPPED = {
    "icd-10": (
        "ICD-10, chapter XI: diseases of oral cavity, salivary glands and jaws (K00-K14)",
        "WHO 2019",
    )
}
"""System -> title, version. The codes come with the release and nobody replaces them."""

_SYSTEM = """
insert into code_systems (system, title, version) values (:system, :title, :version)
on conflict (system) do update
   set title = excluded.title, version = excluded.version, loaded_at = clock_timestamp()
"""
_LOAD = """
insert into codes (system, code, title, withdrawn)
select :system::text, c.code, c.title, c.withdrawn
  from json_to_recordset(:codes::json) as c (code text, title text, withdrawn boolean)
on conflict (system, code) do update
   set title = excluded.title, withdrawn = excluded.withdrawn
"""
_SEARCH = """
select code, title, withdrawn from codes
 where system = :system and code > :after and not withdrawn
   and (strpos(lower(code), :query) = 1 or strpos(lower(title), :query) > 0)
 order by code limit :limit
"""


@cache
def _shipped() -> Mapping[str, str]:
    with _FILE.open(encoding="utf-8", newline="") as lines:
        return MappingProxyType({row["code"]: row["title"] for row in csv.DictReader(lines)})


def find(system: str, code: str) -> str | None:
    """What a code says that may be recorded, or None."""
    if system in SHIPPED:
        return _shipped().get(code)
    row = database("dental_records").one(
        "select title from codes where system = :system and code = :code and not withdrawn",
        system=system,
        code=code,
    )
    return None if row is None else str(row["title"])


def title(system: str) -> str | None:
    """What a system is called, or None if there is no such system."""
    if system in SHIPPED:
        return SHIPPED[system][0]
    row = database("dental_records").one(
        "select title from code_systems where system = :system", system=system
    )
    return None if row is None else str(row["title"])


def systems(db: Database) -> list[Row]:
    """The loaded systems: system, title, version, codes (how many may be recorded)."""
    return db.all(
        "select s.system, s.title, s.version,"
        " (select count(*) from codes c where c.system = s.system and not withdrawn) as codes"
        " from code_systems s order by s.system"
    )


def count(system: str) -> int:
    """How many codes a shipped system has."""
    return len(_shipped()) if system in SHIPPED else 0


def search(db: Database, system: str, query: str, after: str, limit: int) -> list[Code]:
    """Up to ``limit`` codes behind ``after`` that begin with ``query`` or say it."""
    wanted = query.lower()
    if system in SHIPPED:
        found = (
            Code(code, text)
            for code, text in sorted(_shipped().items())
            if code > after and (code.lower().startswith(wanted) or wanted in text.lower())
        )
        return [code for code, _ in zip(found, range(limit), strict=False)]
    rows = db.all(_SEARCH, system=system, query=wanted, after=after, limit=limit)
    return [Code(**row) for row in rows]


def load(tx: Tx, system: str, name: str, version: str, codes: Sequence[Code]) -> None:
    """Add codes to a system, or replace those that are there; none is ever deleted."""
    tx.run(_SYSTEM, system=system, title=name, version=version)
    rows = json.dumps([code._asdict() for code in codes])
    tx.run(_LOAD, system=system, codes=rows)
