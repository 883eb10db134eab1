"""Looking at images: rows, pictures, and the way to the files."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from functions.xray.domain import model, rendering
from functions.xray.domain.limits import NoPreview
from functions.xray.domain.model import NotThere, Xray
from functions.xray.domain.window import Window
from functions.xray.store import xrays
from shared.blobs import objects
from shared.clocks import clock
from shared.db import Row
from shared.errors import Invalid, NotFound
from shared.pages import Page, PageQuery
from shared.runtime import database, vault

__all__ = ["content", "held", "listed", "preview", "show", "thumbnail"]

GOOD_FOR = timedelta(minutes=2)
"""How long a download's URL may be begun with."""


def show(xray_id: UUID, viewer: UUID | None, what: xrays.What = "xray") -> Xray:
    """One image; to the patient ``viewer`` the own ones alone. Raises NotFound."""
    return _xray(xrays.show(database("xray"), xray_id, viewer, what))


def listed(patient_id: UUID, viewer: UUID | None, query: PageQuery) -> Page[Xray]:
    """A patient's images, newest first. Raises BadRequest."""
    after = query.after(tuple[datetime, UUID])
    rows = xrays.page(database("xray"), patient_id, viewer, after, query.limit + 1)
    return Page.of(rows, query.limit, _place, _xray)


def held(query: PageQuery) -> Page[Xray]:
    """What waits for a decision, oldest first. Raises BadRequest."""
    rows = xrays.held(database("xray"), query.after(tuple[datetime, UUID]), query.limit + 1)
    return Page.of(rows, query.limit, _place, _xray)


def content(xray_id: UUID, viewer: UUID | None) -> tuple[str, str, datetime]:
    """Where the original file can be downloaded for a moment, its name, and until when. Raises
    NotFound, NotThere, Unavailable."""
    image = _to_look_at(xray_id, viewer, "xray image")
    name = model.filename(xray_id, image.content_type)
    url = objects().presign_get(
        model.original(image.patient_id, xray_id),
        expires=GOOD_FOR,
        filename=name,
        content_type=image.content_type,
    )
    return url, name, clock().now() + GOOD_FOR


def preview(xray_id: UUID, viewer: UUID | None, window: Window | None, frame: int) -> bytes:
    """A picture (PNG). Raises NotFound, NotThere, NoPreview, Invalid
    for no such frame, Unavailable."""
    image = _to_look_at(xray_id, viewer, "xray preview")
    if not image.has_preview:
        raise NoPreview
    if window is None and frame == 0:
        return _object(model.preview(image.patient_id, xray_id))
    path = model.original(image.patient_id, xray_id)
    stat = objects().stat(path)
    if stat is None:
        raise NotFound
    with objects().open(path, stat) as file:
        try:
            shown = rendering.picture(file, stat.size, image.content_type, window, frame)
        except IndexError:
            detail = f"the image has {image.frames} frames, from 0 on"
            raise Invalid(errors=[{"parameter": "frame", "detail": detail}]) from None
    return shown


def thumbnail(xray_id: UUID, viewer: UUID | None) -> bytes:
    """A small picture (PNG). Raises as ``preview``."""
    image = _to_look_at(xray_id, viewer, "xray thumbnail")
    if not image.has_preview:
        raise NoPreview
    return _object(model.thumbnail(image.patient_id, xray_id))


def _to_look_at(xray_id: UUID, viewer: UUID | None, what: xrays.What) -> Xray:
    image = show(xray_id, viewer, what)
    # Staff looks at a held image to decide whose it is.
    if not image.shown and image.state != "HELD":
        raise NotThere(f"The image is {image.state}.")
    return image


def _object(path: str) -> bytes:
    data = objects().get(path)
    if data is None:
        raise NotFound
    return data


def _place(row: Row) -> tuple[datetime, UUID]:
    return row["created_at"], row["xray_id"]


def _xray(row: Row | None) -> Xray:
    if row is None:
        raise NotFound("There is no such image.")
    return xrays.xray(row, vault("xray"))[0]
