"""Treatment plans: what is offered, what it costs, and who agreed to which version. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.errors import Conflict, Invalid
from shared.teeth import Surface

__all__ = [
    "Costs",
    "Decision",
    "Item",
    "ItemDone",
    "NotOffered",
    "Phase",
    "Plan",
    "PlanCompleted",
    "PlanVersionReplaced",
    "Priced",
    "Status",
    "after_items",
    "all_done",
    "costs",
    "decided",
    "revisable",
]

Status = Literal["OFFERED", "ACCEPTED", "DECLINED", "COMPLETED"]
Decision = Literal["ACCEPTED", "DECLINED"]


class ItemDone(Conflict):
    """What has been done already stays in the plan as it was agreed."""


class PlanCompleted(Conflict):
    """Everything in this plan is done: make a new plan."""


class NotOffered(Conflict):
    """This version of the plan is not on offer: the decision about it stands."""


class PlanVersionReplaced(Conflict):
    """The plan has a newer version: read it, then decide about that one."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to be done, for a price in the currency's minor units (ISO 4217)."""

    item_id: UUID
    procedure: str
    price: int
    tooth: str | None = None
    """ISO 3950 (FDI)."""
    surfaces: tuple[Surface, ...] = ()
    problem_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """What is done together, before the next phase."""

    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The content of one version of a plan."""

    title: str
    phases: tuple[Phase, ...]
    note: str | None = None

    def items(self) -> Iterator[Item]:
        """All items, in their order."""
        for phase in self.phases:
            yield from phase.items


@dataclass(frozen=True, slots=True)
class Priced:
    """What an item counts for. ``current``: the newest version of the plan has it."""

    price: int
    done: bool
    current: bool = True


@dataclass(frozen=True, slots=True)
class Costs:
    """In minor units, exact."""

    so_far: int
    to_come: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.so_far + self.to_come


def costs(items: Iterable[Priced]) -> Costs:
    """What was done costs, also where a later version dropped it; to come is what the newest
    version still has."""
    so_far = to_come = 0
    for item in items:
        if item.done:
            so_far += item.price
        elif item.current:
            to_come += item.price
    return Costs(so_far, to_come)


def all_done(items: Iterable[Priced]) -> bool:
    """Is everything done that the newest version has?"""
    current = [item.done for item in items if item.current]
    return bool(current) and all(current)


def revisable(
    status: Status,
    new: Plan,
    *,
    named: Collection[UUID],
    known: Collection[UUID],
    done: Mapping[UUID, Item | None],
) -> None:
    """Return if ``new`` may follow as the next version.

    ``named``: the items that it says it has from before; ``known``: those that any version had;
    ``done``: those that were done, as the newest version has them, None where it has dropped them.
    What they cost is settled. Raises PlanCompleted, ItemDone naming the items, Invalid.
    """
    if status == "COMPLETED":
        raise PlanCompleted
    if strange := sorted(str(one) for one in named if one not in known):
        detail = f"not an item of this plan: {strange[0]}"
        raise Invalid(errors=[{"pointer": "/phases", "detail": detail}])
    wanted = {item.item_id: item for item in new.items()}
    changed = sorted(str(one) for one, item in done.items() if wanted.get(one) != item)
    if changed:
        raise ItemDone(items=changed)


def decided(
    status: Status, plan_version: int, decision: Decision, about: int, *, all_done: bool
) -> Status:
    """The status after the patient's ``decision`` ``about`` a version; the same one again changes
    nothing. An accepted plan may be declined until it is completed: consent can be withdrawn.

    Raises PlanVersionReplaced, NotOffered.
    """
    if about != plan_version:
        raise PlanVersionReplaced(plan_version=plan_version)
    if decision == "DECLINED":
        if status == "COMPLETED":
            raise NotOffered
        return "DECLINED"
    if status == "DECLINED":
        raise NotOffered
    return after_items("ACCEPTED", all_done=all_done)


def after_items(status: Status, *, all_done: bool) -> Status:
    """The status after something was done, or turned out not to be."""
    if status in ("ACCEPTED", "COMPLETED"):
        return "COMPLETED" if all_done else "ACCEPTED"
    return status
