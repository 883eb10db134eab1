"""The items of plans, and what was done for them.

An item is done when some intervention that names it stands. Interventions come by messages, which
may come before the item, twice, or after a correction of what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from functions.treatment.domain.plans import Item, Priced
from shared.db import Row, Tx

__all__ = ["Intervention", "hear", "offer", "plans_with", "tally", "turn"]

_HEAR = """
insert into item_interventions as t
  (intervention_id, patient_id, item_id, version, in_error, performed_at)
values (:intervention_id, :patient_id, :item_id, :version, :in_error, :performed_at)
on conflict (intervention_id) do update
   set item_id = case when excluded.version > t.version
                      then coalesce(excluded.item_id, t.item_id)
                      else coalesce(t.item_id, excluded.item_id) end,
       in_error = case when excluded.version > t.version
                       then excluded.in_error else t.in_error end,
       performed_at = coalesce(t.performed_at, excluded.performed_at),
       version = greatest(t.version, excluded.version)
 where t.patient_id = excluded.patient_id
returning t.item_id
"""

_TALLY = """
select i.item_id, i.price, i.current,
       exists (select from item_interventions x
                where x.item_id = i.item_id and x.patient_id = i.patient_id
                  and not x.in_error) as done
  from treatment_items i where i.treatment_id = :treatment_id
"""


class Intervention(NamedTuple):
    """What a message says of an intervention, as of ``version`` of the patient's record."""

    intervention_id: UUID
    patient_id: UUID
    item_id: UUID | None
    version: int
    in_error: bool
    performed_at: datetime | None


def turn(tx: Tx, patient_id: UUID) -> None:
    """Wait for whoever else changes what this patient's plans hold or what of it is done: an
    intervention that comes as its item does is counted by one of the two. In a statement of its
    own, so that the next one (READ COMMITTED) sees what the other has committed."""
    key = f"treatment items {patient_id}"
    tx.run("select pg_advisory_xact_lock(hashtextextended(:key, 0))", key=key)


def hear(tx: Tx, said: Intervention) -> set[UUID]:
    """Keep what was said, if it is the newest; the items that it concerns now or did before."""
    before = tx.value(
        "select item_id from item_interventions where intervention_id = :id",
        id=said.intervention_id,
    )
    after = tx.value(_HEAR, **said._asdict())
    return {item for item in (before, after) if item is not None}


def plans_with(tx: Tx, patient_id: UUID, items: Iterable[UUID]) -> list[UUID]:
    """The patient's plans that have any of these items."""
    rows = tx.all(
        "select distinct treatment_id from treatment_items"
        " where item_id = any(:items::uuid[]) and patient_id = :patient_id order by 1",
        items=list(items),
        patient_id=patient_id,
    )
    return [row["treatment_id"] for row in rows]


def offer(tx: Tx, treatment_id: UUID, patient_id: UUID, items: Iterable[Item]) -> None:
    """From now on the plan has these items, at these prices."""
    listed = list(items)
    tx.run("update treatment_items set current = false where treatment_id = :id", id=treatment_id)
    tx.run(
        "insert into treatment_items (item_id, treatment_id, patient_id, price, current)"
        " select n.item_id, :id, :patient_id, n.price, true"
        " from unnest(:items::uuid[], :prices::bigint[]) as n (item_id, price)"
        " on conflict (item_id) do update set price = excluded.price, current = true",
        id=treatment_id,
        patient_id=patient_id,
        items=[item.item_id for item in listed],
        prices=[item.price for item in listed],
    )


def tally(tx: Tx, treatment_id: UUID) -> Mapping[UUID, Priced]:
    """Every item that any version of the plan had."""
    rows: list[Row] = tx.all(_TALLY, treatment_id=treatment_id)
    return {row["item_id"]: Priced(row["price"], row["done"], row["current"]) for row in rows}
