"""When a patient is reminded: at set hours before the appointment, each once, and never in vain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Due", "due"]


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done about one appointment now, in hours before it.

    ``send``: remind the patient with this lead (None: do not). ``skip``: leads that are over.
    """

    send: int | None
    skip: tuple[int, ...]


def due(
    now: datetime,
    starts_at: datetime,
    since: datetime,
    leads: Iterable[int],
    settled: Iterable[int] = (),
) -> Due:
    """What to do ``now`` about an appointment that is at ``starts_at`` ``since`` then.

    ``leads``: the hours before an appointment at which the clinic reminds; ``settled``: those that
    were sent or skipped. Of several that are due (nothing ran for a while, say) only the last is
    sent. It is skipped, too, where the patient chose this time after it was due, or where half of
    the time until the next reminder is over: that one comes soon enough.
    """
    moments = {lead: starts_at - timedelta(hours=lead) for lead in leads}
    passed = sorted(lead for lead in moments.keys() - set(settled) if moments[lead] <= now)
    if not passed:
        return Due(None, ())
    last, coming = passed[0], [at for at in moments.values() if at > now]
    vain = (
        now >= starts_at
        or moments[last] <= since
        or any(lead < last for lead in set(settled))
        or (bool(coming) and min(coming) - now < now - moments[last])
    )
    return Due(None, tuple(passed)) if vain else Due(last, tuple(passed[1:]))
