"""How a participant answers the saga that commanded it."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.messages import Event

__all__ = ["SagaReplied"]


class SagaReplied(Event):
    """A command was carried out, or refused with a problem's type and detail."""

    key: ClassVar[str] = "saga_id"

    saga_id: UUID
    orchestrator: str
    step: str
    action: Literal["do", "undo"]
    outcome: Literal["DONE", "REFUSED"]
    problem_type: str | None = None
    problem_detail: str | None = None
