"""What auth asks a service to compare it with others: ids of people, and digests of addresses."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.access import services
from shared.contracts.gdpr import ERASER
from shared.db import Database
from shared.errors import Unavailable
from shared.http import Api
from shared.privacy import Privacy
from shared.validation import Address, Known, addresses, people

__all__ = ["add_validation_routes"]


class After(BaseModel):
    """The id that the last page ended with."""

    model_config = ConfigDict(extra="forbid")

    after: UUID = UUID(int=0)


def add_validation_routes(api: Api, privacy: Privacy, database: Callable[[], Database]) -> None:
    """``{prefix}/-/validation/...`` where there is personal data; auth needs none to itself."""
    if not privacy.tables or api.name == ERASER:
        return

    @api.get(
        "/-/validation/people",
        access=services(ERASER),
        returns=list[Known],
        problems=[Unavailable],
    )
    def list_people(query: After) -> list[Known]:
        """A page of the ids of everybody whom an erasure would have to delete something of."""
        return people(database(), privacy, query.after)

    @api.get(
        "/-/validation/addresses",
        access=services(ERASER),
        returns=list[Address],
        problems=[Unavailable],
    )
    def list_addresses(query: After) -> list[Address]:
        """A page of digests of the e-mail addresses that the service keeps; no address."""
        return addresses(database(), privacy, query.after)
