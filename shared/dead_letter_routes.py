"""The operators' view of a service's dead letters, under ``{prefix}/-/dead-letters``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from shared import dead_letters
from shared.access import GROUP, roles
from shared.db import Database, Tx
from shared.errors import NotFound, Unavailable
from shared.http import Api
from shared.inbox import Subscriptions, take_effect
from shared.messages import Envelope
from shared.pages import Page, PageQuery
from shared.saga import replied

__all__ = ["add_dead_letter_routes"]


class DeadLetterFilter(PageQuery):
    """Which dead letters to list, newest first."""

    event_type: Annotated[str, Field(max_length=200)] | None = None


class DeadLetter(BaseModel):
    """A message that could not be handled, without its payload."""

    id: str
    event_type: str | None
    topic: str | None
    """Where it arrived."""
    reason: str
    attempts: int
    stored_at: datetime
    metadata: dict[str, Any] | None
    """The envelope's; None for what is no envelope or cannot be read."""


class Redriven(BaseModel):
    """What became of the message: handled, refused, duplicate, erased or unknown."""

    outcome: str


def add_dead_letter_routes(api: Api, on: Subscriptions, db: Callable[[], Database]) -> None:
    """List, redrive and discard what could not be handled; for group-wide ADMINs."""
    admins = roles("ADMIN", clinic=GROUP)

    def effect(env: Envelope, topic: str | None, before: Callable[[Tx], None]) -> str:
        return take_effect(db(), on, env, replied=replied, topic=topic, before=before)

    @api.get("/-/dead-letters", access=admins, returns=Page[DeadLetter])
    def list_dead_letters(query: DeadLetterFilter) -> Page[DeadLetter]:
        """The messages that could not be handled, newest first."""
        after = query.after(tuple[datetime, str])
        rows = dead_letters.page(db(), query.event_type, after, query.limit + 1)
        return Page.of(
            rows,
            query.limit,
            lambda row: (row["stored_at"], row["id"]),
            DeadLetter.model_validate,
        )

    @api.post(
        "/-/dead-letters/{letter_id}/redrive",
        access=admins,
        returns=Redriven,
        problems=[NotFound, dead_letters.FailsAgain, Unavailable],
    )
    def redrive_dead_letter(letter_id: str) -> Redriven:
        """Let the message take effect now; 409 with the reason when it fails again."""
        return Redriven(outcome=dead_letters.redrive(db(), letter_id, effect))

    @api.post("/-/dead-letters/{letter_id}/discard", access=admins, problems=[NotFound])
    def discard_dead_letter(letter_id: str) -> None:
        """Delete the message for ever."""
        dead_letters.discard(db(), letter_id)
