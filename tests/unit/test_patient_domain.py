"""The rules of patient: changes of a profile, and how names are found."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.patient.domain import Profile, changed, search_name, search_words
from shared.errors import Invalid

ANA = Profile("Ana", "Popescu", phone="+40721234567")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, []),
        ({"first_name": "Ana"}, []),
        ({"phone": None, "last_name": "Popescu"}, ["phone"]),
        ({"birth_date": date(2001, 2, 3), "first_name": "Ena"}, ["first_name", "birth_date"]),
    ],
)
def test_changed(wanted: dict[str, Any], names: list[str]) -> None:
    """Only fields that differ count as changed, named in the profile's order."""
    assert names == changed(ANA, wanted)[1]


def test_search_name() -> None:
    """A name is kept folded, family name first, and each of its words once."""
    assert (" stefan popescu ana stefan ", ["stefan", "popescu", "ana"]) == search_name(
        "Ana Ștefan", "ȘTEFAN-Popescu"
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Ștefan", ["stefan"]),
        ("  pop ANA ", ["ana", "pop"]),
        ("an ana Ana-Maria", ["ana", "maria"]),
        ("a b ab", ["ab", "b"]),
        ("100% o_o", ["100%", "o_o"]),
    ],
)
def test_search_words(query: str, words: list[str]) -> None:
    """A query is its folded words; one that begins another adds nothing."""
    assert words == search_words(query)


@pytest.mark.parametrize("query", ["", " ", "'", "-", "a b c d e f g h i j k"])
def test_no_query(query: str) -> None:
    """A query without letters, or with too many words, is refused."""
    with pytest.raises(Invalid):
        search_words(query)


@given(st.text(max_size=100), st.text(max_size=100))
def test_index_rows_fit(first: str, last: str) -> None:
    """Whatever a name holds, its index entry stays within PostgreSQL's limit, words intact."""
    name, words = search_name(first, last)
    assert all(f" {word} " in name for word in words)
    assert len(name.encode()) + max((len(word.encode()) for word in words), default=0) < 2600


@given(st.text(max_size=60))
def test_every_name_is_found_by_itself(text: str) -> None:
    """Asking for a name as it is written finds it."""
    name, _ = search_name(text, "")
    try:
        words = search_words(text)
    except Invalid:
        return
    assert all(f" {word}" in name for word in words)
