"""Which codes may be recorded: of the shipped system, and of those that the operator loads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from functions.dental_records.domain.chart import Coding
from functions.dental_records.store import codes as store
from functions.dental_records.store.codes import SHIPPED, Code
from shared.db import Tx
from shared.errors import Conflict, Invalid, NotFound
from shared.pages import Page, PageQuery
from shared.runtime import database

__all__ = ["ShippedSystem", "System", "checked", "load", "search", "systems"]


class ShippedSystem(Conflict):
    """This code system comes with the release: choose another name for your own."""


class System(NamedTuple):
    """A code system, and how many of its codes may be recorded."""

    system: str
    title: str
    version: str
    codes: int


def checked(system: str, code: str, *, pointer: str = "/code") -> Coding:
    """The code with what it says. Raises Invalid at ``pointer`` for one that is unknown or
    withdrawn."""
    title = store.find(system, code)
    if title is None:
        raise Invalid(errors=[{"pointer": pointer, "detail": "No code of this code system"}])
    return Coding(system, code, title)


def systems() -> list[System]:
    """All of them, the shipped ones first."""
    shipped = [
        System(name, title, version, store.count(name))
        for name, (title, version) in SHIPPED.items()
    ]
    return shipped + [System(**row) for row in store.systems(database("dental_records"))]


def search(system: str, query: str, page: PageQuery) -> Page[Code]:
    """A page of the codes that begin with ``query`` or say it, by code. Raises NotFound,
    BadRequest."""
    if store.title(system) is None:
        raise NotFound("There is no such code system.")
    (after,) = page.after(tuple[str]) or ("",)
    found = store.search(database("dental_records"), system, query, after, page.limit + 1)
    return Page.of(found, page.limit, lambda row: (row.code,), lambda row: row)


def load(system: str, title: str, version: str, codes: Sequence[Code]) -> int:
    """Add codes to a system of the operator's, or say anew what those say that are there; how many.
    Of two at once, the later one's words stand. Raises ShippedSystem."""
    if system in SHIPPED:
        raise ShippedSystem

    def work(tx: Tx) -> int:
        store.load(tx, system, title, version, codes)
        return len(codes)

    return database("dental_records").transaction(work)
