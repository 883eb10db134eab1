"""Looking at images. Dentists see all, patients what stands in their own record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from functions.xray.api.base import Image, api, reply, viewer
from functions.xray.domain.limits import MAX_FRAMES, NoPreview
from functions.xray.domain.model import NotThere
from functions.xray.domain.window import Window
from functions.xray.service import reading
from shared.access import GROUP, anyone, owner, roles
from shared.errors import BadRequest, Forbidden, Invalid, NotFound, Unavailable
from shared.http import Reply
from shared.identity import Caller
from shared.pages import Page, PageQuery

__all__: list[str] = []


class ListQuery(PageQuery):
    """Whose images."""

    patient_id: UUID


class Content(BaseModel):
    """Where the file can be downloaded, by a GET without further headers, before ``expires_at``."""

    url: str
    filename: str
    expires_at: datetime


class PreviewQuery(BaseModel):
    """The window, in the units of the image: both or neither (then as the file proposes); and
    which picture of several, from 0."""

    model_config = ConfigDict(extra="forbid")

    center: FiniteFloat | None = None
    width: Annotated[FiniteFloat, Field(ge=1, le=1e9)] | None = None
    frame: Annotated[int, Field(ge=0, lt=MAX_FRAMES)] = 0

    @model_validator(mode="after")
    def _both(self) -> PreviewQuery:
        if (self.center is None) != (self.width is None):
            raise ValueError("center and width belong together")
        return self


@api.get(
    "",
    access=roles("DENTIST") | owner("patient_id") | roles("ADMIN", clinic=GROUP),
    returns=Page[Image],
    problems=[BadRequest],
)
def listed(query: ListQuery, caller: Caller) -> Page[Image]:
    """A patient's images, newest first; the patient sees those that stand in the record. An ADMIN
    of the group says what for."""
    whose = viewer(caller)
    if whose is not None and not caller.is_owner(query.patient_id):
        raise Forbidden("Say what for: X-Purpose-Of-Use.")
    page = reading.listed(query.patient_id, whose, query)
    return page.map(lambda image: Image.of(image, staff=whose is None))


@api.get("/{xray_id}", access=anyone(), returns=Image, problems=[NotFound])
def show(xray_id: UUID, caller: Caller) -> Reply[Image]:
    """One image's metadata; 404 to whom it does not concern."""
    whose = viewer(caller)
    return reply(reading.show(xray_id, whose), staff=whose is None)


@api.get(
    "/{xray_id}/content",
    access=anyone(),
    returns=Content,
    problems=[NotFound, NotThere, Unavailable],
)
def content(xray_id: UUID, caller: Caller) -> Content:
    """Where to download the file as it was uploaded, for two minutes. No redirect: a client that
    follows one would send its access token along."""
    url, filename, expires_at = reading.content(xray_id, viewer(caller))
    return Content(url=url, filename=filename, expires_at=expires_at)


@api.get(
    "/{xray_id}/preview",
    access=anyone(),
    returns=bytes,
    media="image/png",
    problems=[NotFound, NotThere, NoPreview, Invalid, Unavailable],
)
def preview(xray_id: UUID, query: PreviewQuery, caller: Caller) -> Reply[bytes]:
    """The image as an 8-bit PNG of at most 2048 pixels a side, with window centre and width
    (DICOM PS3.3 C.11.2.1.2)."""
    window = None
    if query.center is not None and query.width is not None:
        window = Window(query.center, query.width)
    data = reading.preview(xray_id, viewer(caller), window, query.frame)
    return Reply(data)


@api.get(
    "/{xray_id}/thumbnail",
    access=anyone(),
    returns=bytes,
    media="image/png",
    problems=[NotFound, NotThere, NoPreview, Unavailable],
)
def thumbnail(xray_id: UUID, caller: Caller) -> Reply[bytes]:
    """The image as an 8-bit PNG of at most 256 pixels a side."""
    data = reading.thumbnail(xray_id, viewer(caller))
    return Reply(data)
