"""Code systems: what may be recorded, and the operator's own catalogues."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from functions.dental_records.api.base import api
from functions.dental_records.service import codes
from functions.dental_records.service.codes import ShippedSystem
from functions.dental_records.store.codes import Code
from shared.access import GROUP, roles
from shared.errors import Invalid, NotFound
from shared.pages import Page, PageQuery

__all__ = ["CodeOut", "SystemOut"]

_STAFF = roles("RECEPTIONIST", "DENTIST", "ADMIN")
_System = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$")]


class SystemOut(BaseModel):
    """A code system."""

    system: str
    title: str
    version: str
    codes: int
    """How many may be recorded."""


class CodeOut(BaseModel):
    """A code that may be recorded."""

    code: str
    title: str


class CodeIn(BaseModel):
    """A code of the operator's."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^\S+$")]
    title: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    withdrawn: bool = False
    """It stays for the records that have it, and is refused for new ones."""


class LoadCodes(BaseModel):
    """Codes to add to a system; a large one comes in several portions."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
    version: Annotated[str, Field(min_length=1, max_length=40, pattern=r"\S")]
    codes: Annotated[list[CodeIn], Field(min_length=1, max_length=5000)]


class Loaded(BaseModel):
    """What became of a portion."""

    system: str
    loaded: int


class CodeQuery(PageQuery):
    """``query``: what a code begins with, or its title says."""

    query: Annotated[str, Field(max_length=100)] = ""


@api.get("/code-systems", access=_STAFF, returns=list[SystemOut])
def list_systems() -> list[SystemOut]:
    """The code systems, shipped and loaded."""
    return [SystemOut(**system._asdict()) for system in codes.systems()]


@api.get("/code-systems/{system}/codes", access=_STAFF, returns=Page[CodeOut], problems=[NotFound])
def list_codes(system: _System, query: CodeQuery) -> Page[CodeOut]:
    """The codes of a system that may be recorded, by code."""
    page = codes.search(system, query.query, query)
    return page.map(lambda found: CodeOut(code=found.code, title=found.title))


@api.put(
    "/code-systems/{system}",
    access=roles("ADMIN", clinic=GROUP),
    returns=Loaded,
    problems=[ShippedSystem, Invalid],
)
def load_codes(system: _System, body: LoadCodes) -> Loaded:
    """Add codes to a system of the operator's, or say anew what is there; none is deleted. Again,
    it changes nothing; of two at once, the later one's words stand."""
    given = [Code(code.code, code.title, code.withdrawn) for code in body.codes]
    if len({code.code for code in given}) != len(given):
        raise Invalid(errors=[{"pointer": "/codes", "detail": "Each code once"}])
    return Loaded(system=system, loaded=codes.load(system, body.title, body.version, given))
