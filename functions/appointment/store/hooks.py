"""Where parts of appointment hear of each other without knowing each other.

It lies this low because an erasure frees slots, too, and is declared below the use cases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from functions.appointment.domain.visits import Visit
from functions.appointment.store.slots import Slot
from shared.clocks import clock
from shared.db import Tx

__all__ = ["Method", "freed", "invite", "invites", "when_freed"]

Method = Literal["REQUEST", "CANCEL"]
"""Of iTIP, RFC 5546."""

_listeners: list[Callable[[Tx, Slot], None]] = []
_makers: list[Callable[[Visit, Method], str]] = []


def when_freed(listener: Callable[[Tx, Slot], None]) -> Callable[[Tx, Slot], None]:
    """Call ``listener(tx, slot)`` in each transaction that frees a slot which is still to come,
    once its row is gone. It may take the slot for somebody else in the same transaction."""
    _listeners.append(listener)
    return listener


def freed(tx: Tx, slot: Slot | None) -> None:
    """Tell the listeners that ``slot`` is free now; nothing where it has begun already."""
    if slot is not None and slot.starts_at > clock().now():
        for listener in _listeners:
            listener(tx, slot)


def invites(maker: Callable[[Visit, Method], str]) -> Callable[[Visit, Method], str]:
    """Let ``maker`` write the iCalendar objects that go with messages."""
    _makers.append(maker)
    return maker


def invite(visit: Visit, method: Method) -> str | None:
    """The iCalendar object (RFC 5545, 5546) of ``visit`` as it is now; None if nobody writes it."""
    return _makers[0](visit, method) if _makers else None
