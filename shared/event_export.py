"""A person's facts for their export: ``Personal("events", erase="keep", show=exported(STORE))``.

The erasure keeps the rows, since it deletes the key with which all that is personal in them is
sealed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from shared.db import Tx
from shared.eventstore import EventStore, Recorded, Stream

__all__ = ["exported"]

# Without a key: somebody who was erased. What is left is about nobody.
_STREAMS = """
select distinct category, id from events
 where person_id = :person and exists (select from subject_keys where subject = :person)
 order by 1, 2
"""


def exported(store: EventStore) -> Callable[[Tx, UUID], list[dict[str, Any]]]:
    """What reads all facts of ``store`` about a person; of somebody who was erased none."""

    def show(tx: Tx, person: UUID) -> list[dict[str, Any]]:
        streams = tx.all(_STREAMS, person=person)
        return [
            _row(event)
            for row in streams
            for event in store.history(tx, Stream(row["category"], row["id"], person))
            if event.fact is not None and event.person_id == person
        ]

    return show


def _row(event: Recorded) -> dict[str, Any]:
    row = {
        "stream": event.category,
        "version": event.version,
        "type": event.type,
        "at": event.effective_at,
        "recorded_at": event.recorded_at,
        "fact": event.fact.model_dump(mode="json"),
    }
    shown: dict[str, Any] = to_jsonable_python(row)
    return shown
