"""Finding patients, for staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from functions.patient.domain import search_words
from functions.patient.store import records, search
from shared.db import Row
from shared.errors import BadRequest, Invalid
from shared.pages import Page, decode_cursor
from shared.runtime import database, vault

__all__ = ["Match", "find"]


@dataclass(frozen=True, slots=True)
class Match:
    """As much of a patient as it takes to tell namesakes apart."""

    patient_id: UUID
    first_name: str
    last_name: str
    birth_date: date | None


def find(
    *, query: str | None, email: str | None, national_id: str | None, limit: int, cursor: str | None
) -> Page[Match]:
    """The patients to whom everything that is given applies.

    Each word of ``query`` begins a word of the name, accents and case aside. Sorted by the word
    matched, then by name. Raises Invalid without any criterion, BadRequest for a foreign cursor.
    """
    if query is None and email is None and national_id is None:
        raise Invalid("Search by query, email or national_id.")
    words = [] if query is None else search_words(query)
    after = search.START
    if cursor is not None:
        after = search.Position(*decode_cursor(cursor, tuple[str, str, str, UUID]))
    db = database("patient")
    if email is not None or national_id is not None:
        rows = search.by_identity(
            db,
            email=email,
            number=None if national_id is None else records.national_id_index(national_id),
            words=words,
            after=after,
            limit=limit + 1,
        )
    else:
        if cursor is None:
            after = after._replace(prefix=search.rarest(db, words))
        elif after.prefix not in words:
            raise BadRequest("The cursor belongs to another search: start again without it.")
        rows = search.by_name(db, words, after, limit + 1)
    return Page.of(
        rows,
        limit,
        lambda last: (after.prefix, last["word"], last["name"], last["patient_id"]),
        _match,
    )


def _match(row: Row) -> Match:
    key = vault("patient").subject(row["patient_id"], row["key_version"], row["key_wrapped"])
    return Match(
        row["patient_id"],
        row["first_name"],
        row["last_name"],
        records.unseal_date(key, row["birth_date"]),
    )
