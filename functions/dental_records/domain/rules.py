"""What must be true of an intervention before it is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from functions.dental_records.domain.chart import CONNECTED, WHOLE, Procedure, TreatedTooth
from shared.teeth import is_upper

__all__ = ["wrong_with"]


def wrong_with(procedure: Procedure, teeth: Sequence[TreatedTooth]) -> Iterator[tuple[str, str]]:
    """What contradicts itself: (JSON pointer, why). A bridge or splint is one thing over several
    teeth of one jaw, and each tooth of a bridge is either an abutment or a pontic."""
    named = [treated.tooth for treated in teeth]
    if len(set(named)) != len(named):
        yield "/teeth", "Each tooth once"
    if procedure in CONNECTED:
        if len(set(named)) < 2:
            yield "/teeth", "It joins two teeth or more"
        if len({is_upper(tooth) for tooth in named}) > 1:
            yield "/teeth", "It joins teeth of one jaw"
    if procedure == "BRIDGE":
        yield from _bridge(teeth)
        return
    for number, treated in enumerate(teeth):
        if treated.role is not None:
            yield f"/teeth/{number}/role", "Only the teeth of a bridge have one"
        if procedure in WHOLE and treated.surfaces:
            yield f"/teeth/{number}/surfaces", "This is done to the tooth as a whole"
        if procedure == "FILLING" and not treated.surfaces:
            yield f"/teeth/{number}/surfaces", "A filling is in at least one surface"


def _bridge(teeth: Sequence[TreatedTooth]) -> Iterator[tuple[str, str]]:
    for number, treated in enumerate(teeth):
        if treated.role is None:
            yield f"/teeth/{number}/role", "ABUTMENT or PONTIC"
    roles = {treated.role for treated in teeth}
    if None not in roles and len(roles) < 2:
        yield "/teeth", "A bridge has an abutment and a pontic"
