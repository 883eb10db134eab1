"""The commands of a saga between three services that exist in tests only."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from shared.messages import Command, Event
from shared.saga_plan import Retry, Saga, Step

__all__ = [
    "OWNERS",
    "RETRY",
    "SERVICES",
    "AlphaOpened",
    "CloseAlpha",
    "CloseBeta",
    "CloseGamma",
    "GreetGamma",
    "OpenAlpha",
    "OpenBeta",
    "OpenGamma",
    "SettleAlpha",
    "opening",
]

SERVICES = ("alpha", "beta", "gamma")


class _Part(Command):
    key: ClassVar[str] = "thing"
    thing: UUID
    secret: str = ""


class OpenAlpha(_Part):
    """Local to the orchestrator."""


class CloseAlpha(_Part):
    """Undo it."""


class OpenBeta(_Part):
    """In the second service."""


class CloseBeta(_Part):
    """Undo it."""


class OpenGamma(_Part):
    """In the third service."""


class CloseGamma(_Part):
    """Undo it."""


class SettleAlpha(_Part):
    """The pivot, local."""


class GreetGamma(_Part):
    """Optional."""


class AlphaOpened(Event):
    """What the local step tells the world."""

    key: ClassVar[str] = "thing"
    thing: UUID


OWNERS: dict[type[Command], str] = {
    OpenAlpha: "alpha",
    CloseAlpha: "alpha",
    SettleAlpha: "alpha",
    OpenBeta: "beta",
    CloseBeta: "beta",
    OpenGamma: "gamma",
    CloseGamma: "gamma",
    GreetGamma: "gamma",
}
# A message's service is that of its contracts module.
for _command, _service in OWNERS.items():
    _command.__module__ = f"shared.contracts.{_service}"

RETRY = Retry(every=timedelta(seconds=10), attempts=3)


def opening(deadline: timedelta | None = timedelta(minutes=15), name: str = "opening") -> Saga:
    """Local, remote, remote, local pivot, optional remote."""
    return Saga(
        name,
        Step("alpha", do=OpenAlpha, undo=CloseAlpha, retry=RETRY),
        Step("beta", do=OpenBeta, undo=CloseBeta, retry=RETRY),
        Step("gamma", do=OpenGamma, undo=CloseGamma, retry=RETRY),
        Step("settle", do=SettleAlpha, pivot=True, retry=RETRY),
        Step("greet", do=GreetGamma, optional=True, retry=RETRY),
        deadline=deadline,
    )
