"""One transaction of one service about some people: rows in bulk, and what always goes with them.

Rows go in by one statement for each table. The service's own code seals what they hold, and the
kit's makes keys and audit entries. An erasure that is under way is waited for, as in a request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from pydantic_core import to_json

from infra.seed.desk import Desk
from infra.seed.mouth import Mouth, mouth
from infra.seed.visits import Year, year
from shared.audit import Action, entry
from shared.crypto import Subject
from shared.db import Tx
from shared.privacy import guard
from shared.runtime import database, vault
from shared.wire import Statement

__all__ = ["Batch", "Patient", "fill"]

T = TypeVar("T")

_KNOWN = """
insert into known_people (person_id) select unnest(:people::uuid[]) on conflict do nothing
"""


@dataclass(frozen=True)
class Patient:
    """Somebody with their year."""

    patient_id: UUID
    year: Year
    desk: Desk

    @cached_property
    def mouth(self) -> Mouth:
        """What was found and done."""
        return mouth(self.year)

    @property
    def dentist(self) -> UUID:
        """Who treats them."""
        return self.desk.clinic.dentists[self.year.seat.dentist]

    @property
    def receptionist(self) -> UUID:
        """Who answers them."""
        return self.desk.clinic.receptionists[0]

    def id(self, kind: str, turn: int, at: datetime) -> UUID:
        """The same in every run, and sorted by time as those that the services make (RFC 9562,
        version 7)."""
        digest = hashlib.sha256(f"seed {kind} {self.patient_id} {turn}".encode()).digest()
        chance, moment = int.from_bytes(digest[:10], "big"), int(at.timestamp() * 1000)
        low = chance & (1 << 62) - 1
        return UUID(int=moment << 80 | 0x7 << 76 | (chance >> 62 & 0xFFF) << 64 | 0b10 << 62 | low)

    @classmethod
    def of(cls, number: int, patient_id: UUID, desks: Sequence[Desk], day: Any) -> Patient:
        """Person ``number``, whose year ended on ``day``."""
        made = year(number, day)
        return cls(patient_id, made, desks[made.seat.clinic])


class Batch:
    """What is collected for one transaction."""

    def __init__(self, tx: Tx, service: str) -> None:
        self.tx, self._service = tx, service
        self._rows: dict[str, list[Mapping[str, Any]]] = {}
        self._entries: list[Statement] = []

    def key(self, who: Patient) -> Subject:
        """The person's, made if there is none."""
        key = self.tx.keys.get(who.patient_id)
        if key is None:
            key = vault(self._service).new_subject(self.tx, who.patient_id)
            self.tx.keys[who.patient_id] = key
        return key

    def missing(self, table: str, column: str, made: Mapping[UUID, T]) -> list[T]:
        """What is ``made`` under ids that are not in the ``column`` of ``table``, in its order."""
        sql = f"select {column} as id from {table} where {column} = any(:ids::uuid[])"  # nosec B608
        there = {row["id"] for row in self.tx.all(sql, ids=list(made))}
        return [each for identity, each in made.items() if identity not in there]

    def add(self, table: str, **columns: Any) -> None:
        """A row; every row of a table has the same columns."""
        self._rows.setdefault(table, []).append(columns)

    def note(self, who: Patient, action: Action, *what: str) -> None:
        """Entries in the audit log."""
        self._entries += [entry(who.patient_id, action, each) for each in what]

    def write(self) -> None:
        """Send what was collected, tables in the order in which they were first named."""
        for table, rows in self._rows.items():
            columns = ", ".join(rows[0])
            self.tx.run(
                f"insert into {table} ({columns}) select {columns}"  # nosec B608
                f" from json_populate_recordset(null::{table}, :rows::json)",
                rows=to_json(
                    [{name: _json(each) for name, each in row.items()} for row in rows]
                ).decode(),
            )
        if self._entries:
            self.tx.batch(*self._entries)


def fill(
    service: str, people: Sequence[Patient], work: Callable[[Batch, Sequence[Patient]], None]
) -> None:
    """Let ``work`` collect what is missing about ``people`` in the database of ``service``, and
    write all of it or nothing. Who was erased is left out.

    READ COMMITTED: what an erasure did that was waited for is to be seen.
    """

    def transact(tx: Tx) -> None:
        ids = [each.patient_id for each in people]
        gone = Statement(
            "select person_id from erased_people where person_id = any(:people::uuid[])",
            {"people": ids},
        )
        answers = tx.batch(*map(guard, sorted(ids)), gone)
        erased = {row["person_id"] for row in answers[-1].rows}
        left = [each for each in people if each.patient_id not in erased]
        if service != "notification":
            tx.run(_KNOWN, people=[each.patient_id for each in left])
        batch = Batch(tx, service)
        work(batch, left)
        batch.write()

    database(service).transaction(transact, isolation="READ COMMITTED")


def _json(value: Any) -> Any:
    """As PostgreSQL reads it: bytes in its own way, also within an array."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return [_json(each) for each in value] if isinstance(value, list | tuple) else value
