"""Where a person is written to, for the service that writes."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel

from functions.auth.api.base import api
from functions.auth.store import users as user_store
from shared.access import services
from shared.errors import NotFound
from shared.runtime import database
from shared.types import Language


class Contact(BaseModel):
    """The address as it is now: asked for at every sending, replicated nowhere."""

    email: str | None
    language: Language


@api.get(
    "/-/contacts/{person_id}",
    access=services("notification"),
    returns=Contact,
    problems=[NotFound],
)
def show_contact(person_id: UUID) -> Contact:
    """A person's e-mail address, None where the clinic knows none, and language."""
    row = user_store.contact(database("auth"), person_id)
    if row is None:
        raise NotFound("There is no such account.")
    return Contact.model_validate(row)
