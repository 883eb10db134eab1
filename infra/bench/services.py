"""Three services that exist in benchmarks only, assembled as every service is.

alpha orchestrates a saga whose three steps happen in alpha, beta and gamma; beta also follows an
event of alpha. Each effect is one row in a database of the service's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from infra import manifest
from shared.bus import Subscription, parse_push
from shared.db import Tx
from shared.http import Api
from shared.inbox import Subscriptions
from shared.messages import Command, Event, Message
from shared.runtime import Service, database
from shared.saga_plan import Saga, Step

if TYPE_CHECKING:
    from flask import Request

__all__ = ["BARE_TOPIC", "SERVICES", "Ticked", "bare", "opening", "subscriptions"]

BARE_TOPIC = "bare"
_EFFECT = "insert into effects (thing, what) values (:thing, :what)"


class _OfAlpha(Message):
    """A contract of alpha; ``topic`` is otherwise the name of the contracts module."""

    key: ClassVar[str] = "thing"
    thing: UUID

    @classmethod
    def topic(cls) -> str:
        return "alpha"


class _OfBeta(_OfAlpha):
    @classmethod
    def topic(cls) -> str:
        return "beta"


class _OfGamma(_OfAlpha):
    @classmethod
    def topic(cls) -> str:
        return "gamma"


class Ticked(_OfAlpha, Event):
    """Something happened in alpha."""


class OpenAlpha(_OfAlpha, Command):
    """The first step."""


class CloseAlpha(_OfAlpha, Command):
    """Takes it back."""


class OpenBeta(_OfBeta, Command):
    """The second step."""


class CloseBeta(_OfBeta, Command):
    """Takes it back."""


class OpenGamma(_OfGamma, Command):
    """The third step, the pivot."""


opening = Saga(
    "opening",
    Step("alpha", do=OpenAlpha, undo=CloseAlpha),
    Step("beta", do=OpenBeta, undo=CloseBeta),
    Step("gamma", do=OpenGamma, pivot=True),
    deadline=timedelta(minutes=15),
)


def _effect(message: _OfAlpha, tx: Tx) -> None:
    tx.run(_EFFECT, thing=message.thing, what=type(message).__name__)


def _service(name: str, commands: Sequence[type[Command]], sagas: Sequence[Saga] = ()) -> Service:
    on = Subscriptions(name)
    for command in commands:
        on.command(command, sender="alpha")(_effect)
    if name == "beta":
        on(Ticked)(_effect)
    return Service(name, api=Api(name, prefix=f"/api/{name}"), handlers=on, sagas=sagas)


SERVICES = {
    "alpha": _service("alpha", [OpenAlpha, CloseAlpha], [opening]),
    "beta": _service("beta", [OpenBeta, CloseBeta]),
    "gamma": _service("gamma", [OpenGamma]),
}


def bare(request: Request) -> tuple[str, int]:
    """A consumer with nothing between the push and the effect: no token, no inbox, no clock."""
    event = json.loads(parse_push(request.get_data()).data)
    database("beta").all(_EFFECT, thing=UUID(event["payload"]["thing"]), what="bare")
    return "", 204


def subscriptions(port: int) -> list[Subscription]:
    """Who hears of what, as on the platform; all targets are behind the gunicorn on ``port``."""
    url = f"http://127.0.0.1:{port}"
    made = manifest.subscriptions(list(SERVICES.values()), url)
    return [*made, Subscription("bare", BARE_TOPIC, "bare", f"{url}/_events/bare/")]
