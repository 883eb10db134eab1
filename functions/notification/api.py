"""The routes under /api/notifications: always the caller's own."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StrictBool

from functions.notification.domain.choices import MANDATORY, Chosen
from functions.notification.domain.notices import Channel, Kind
from functions.notification.service import inboxes
from shared.access import anyone
from shared.errors import BadRequest, Invalid, NotFound, StaleVersion, Unauthenticated
from shared.http import Api, IfMatch, Reply, RequestInfo
from shared.identity import Caller
from shared.languages import preferred_language
from shared.pages import PageQuery
from shared.privacy import PersonErased

__all__ = ["api"]

api = Api("notification", prefix="/api/notifications")

_Choices = dict[Chosen, dict[Channel, StrictBool]]


class Notification(BaseModel):
    """One notification, in the reader's language; ``read_at`` is null while it is unread, ``about``
    is what it is about, such as the appointment, where that is not the account."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: Kind
    title: str
    text: str
    about: UUID | None
    created_at: datetime
    read_at: datetime | None


class Inbox(BaseModel):
    """A page of notifications, newest first; ``unread`` counts all, not just this page's."""

    model_config = ConfigDict(from_attributes=True)

    items: list[Notification]
    unread: int
    next_cursor: str | None = None


class InboxQuery(PageQuery):
    """Which notifications: all of them, or only those unread."""

    unread: bool = False


class Choose(BaseModel):
    """Kind -> channel -> wanted. What is not named is wanted."""

    model_config = ConfigDict(extra="forbid")

    choices: _Choices


class Preferences(BaseModel):
    """Every choice there is; ``mandatory`` kinds cannot be switched off."""

    choices: _Choices
    mandatory: list[Chosen]

    @classmethod
    def of(cls, choices: _Choices) -> Self:
        """The representation of ``choices``."""
        return cls(choices=choices, mandatory=sorted(MANDATORY))


@api.get("", access=anyone(), returns=Inbox, problems=[BadRequest])
def show(query: InboxQuery, caller: Caller, request: RequestInfo) -> Inbox:
    """The caller's notifications, newest first, in the caller's language.

    A language that Accept-Language asks for comes first, where the texts exist in it.
    """
    page = inboxes.listing(
        _person(caller),
        language=preferred_language(request.accept_language),
        unread=query.unread,
        limit=query.limit,
        cursor=query.cursor,
    )
    return Inbox.model_validate(page)


@api.post("/read", access=anyone())
def read_all(caller: Caller) -> None:
    """Mark all as read."""
    inboxes.mark_all(_person(caller))


@api.post("/{notification_id}/read", access=anyone(), problems=[NotFound])
def read(notification_id: UUID, caller: Caller) -> None:
    """Mark one as read; again, nothing changes."""
    inboxes.mark_read(_person(caller), notification_id)


@api.get("/preferences", access=anyone(), returns=Preferences)
def show_preferences(caller: Caller) -> Reply[Preferences]:
    """What the caller is told, and by which channel; the ETag is 0 before the first choice."""
    version, choices = inboxes.preferences(_person(caller))
    return Reply(Preferences.of(choices), etag=version)


@api.put(
    "/preferences",
    access=anyone(),
    returns=Preferences,
    problems=[Invalid, StaleVersion, PersonErased],
)
def replace_preferences(body: Choose, if_match: IfMatch, caller: Caller) -> Reply[Preferences]:
    """Replace all choices. Warnings about the account stay on."""
    version, choices = inboxes.set_preferences(_person(caller), if_match, body.choices)
    return Reply(Preferences.of(choices), etag=version)


def _person(caller: Caller) -> UUID:
    if caller.id is None:
        raise Unauthenticated
    return caller.id
