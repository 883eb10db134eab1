"""What staff decides about an image."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from functions.xray.api.base import DESK, Image, api, reply
from functions.xray.domain.model import NotThere
from functions.xray.service import deciding, reading
from shared.access import roles
from shared.errors import BadRequest, NotFound, StaleVersion
from shared.http import IfMatch, Reply
from shared.pages import Page, PageQuery
from shared.privacy import PersonErased

__all__: list[str] = []

_PROBLEMS = (NotFound, StaleVersion, NotThere, PersonErased)


class Decision(BaseModel):
    """Why; it is kept with the image."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@api.get("/held", access=DESK, returns=Page[Image], problems=[BadRequest])
def held(query: PageQuery) -> Page[Image]:
    """The images that wait for a decision, oldest first, with what their files say."""
    return reading.held(query).map(lambda image: Image.of(image, staff=True))


@api.post("/{xray_id}/approve", access=DESK, returns=Image, problems=_PROBLEMS)
def approve(xray_id: UUID, body: Decision, if_match: IfMatch) -> Reply[Image]:
    """A held image is about the patient: it becomes a part of the record."""
    return reply(deciding.approve(xray_id, if_match, body.reason))


@api.post("/{xray_id}/reject", access=DESK, returns=Image, problems=_PROBLEMS)
def reject(xray_id: UUID, body: Decision, if_match: IfMatch) -> Reply[Image]:
    """A held image is about somebody else: its file is deleted."""
    return reply(deciding.reject(xray_id, if_match, body.reason))


@api.post("/{xray_id}/entered-in-error", access=roles("DENTIST"), returns=Image, problems=_PROBLEMS)
def mark_error(xray_id: UUID, body: Decision, if_match: IfMatch) -> Reply[Image]:
    """An image should not be in the record: it stays, and only staff sees it, as an error."""
    return reply(deciding.mark_error(xray_id, if_match, body.reason))
