"""Finding patients over HTTP, on PostgreSQL, against a plain re-statement of the rule."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from functions.patient.domain import search_name
from shared.types import fold
from tests.patient_stack import CNPS, NIK, PatientStack, person
from tests.patient_volume import FIRST, LAST, Person, load

BY = person("RECEPTIONIST")
TOLD: dict[str, Any] = {"national_id": CNPS[0], "birth_date": date(1996, 2, 29)}


@pytest.fixture(scope="module")
def stack(service_db: Callable[[str], str]) -> PatientStack:
    """A stack with a few people of every sort of name."""
    stack = PatientStack(service_db("patient"))
    stack.register(first_name="Ștefania Ana-Maria", last_name="Țurcanu", **TOLD)
    stack.register(first_name="Ana", last_name="Anastasescu", email="anastasescu@example.com")
    stack.register(first_name="Łukasz", last_name="O’Neil", national_id=NIK)
    stack.register(first_name="Percent", last_name="50%_off\\now", email=None)
    stack.register(first_name="Percent", last_name="50 Xoff", email="xoff@example.com")
    return stack


def search(stack: PatientStack, **body: Any) -> dict[str, Any]:
    """One page."""
    answer = stack.send("POST", "/search", body, by=BY)
    assert 200 == answer.status_code, answer.get_json()
    found: dict[str, Any] = answer.get_json()
    return found


def names(stack: PatientStack, **body: Any) -> list[str]:
    """The family names of one page."""
    return [item["last_name"] for item in search(stack, **body)["items"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("turcanu", ["Țurcanu"]),
        ("TURC STEF", ["Țurcanu"]),
        ("țurc ștef", ["Țurcanu"]),
        ("ana", ["Țurcanu", "Anastasescu"]),
        ("an", ["Țurcanu", "Anastasescu"]),
        ("ana anastasescu", ["Anastasescu"]),
        ("maria turcanu", ["Țurcanu"]),
        ("lukasz oneil", ["O’Neil"]),
        ("o'neil", ["O’Neil"]),
        ("rcanu", []),
        ("ana oneil", []),
        ("%", []),
        ("_", []),
        ("50%", ["50%_off\\now"]),
        ("per 50%_o", ["50%_off\\now"]),
        ("per 50%_off\\n", ["50%_off\\now"]),
        ("percent 50", ["50 Xoff", "50%_off\\now"]),
        ("'; drop table patients; --", []),
    ],
)
def test_by_name(stack: PatientStack, query: str, expected: list[str]) -> None:
    """Every word of the query begins a word of the name, accents, case and wildcards aside;
    nobody is found twice."""
    assert sorted(expected) == sorted(names(stack, query=query))


def test_by_identity(stack: PatientStack) -> None:
    """National ids and addresses are found exactly, in any spelling, and narrow each other."""
    assert ["Țurcanu"] == names(stack, national_id=f" {CNPS[0][:6]}-{CNPS[0][6:]}")
    assert [] == names(stack, national_id=CNPS[1])
    assert ["50 Xoff"] == names(stack, email="XOFF@Example.com")
    assert [] == names(stack, email="xoff@example.co")
    assert ["Anastasescu"] == names(stack, email="anastasescu@example.com", query="ana")
    assert [] == names(stack, email="anastasescu@example.com", query="percent")
    assert [] == names(stack, email="xoff@example.com", national_id=NIK)
    assert ["O’Neil"] == names(stack, national_id=NIK, query="luk")


def test_minimal_answer(stack: PatientStack) -> None:
    """A match says no more than it takes to tell namesakes apart."""
    (item,) = search(stack, query="turcanu")["items"]
    assert {"patient_id", "first_name", "last_name", "birth_date"} == item.keys()
    assert "1996-02-29" == item["birth_date"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"limit": 5},
        {"query": None},
        {"query": "-"},
        {"query": "x" * 201},
        {"query": "ana", "limit": 0},
        {"query": "ana", "limit": 101},
        {"national_id": "2950101123456"},
        {"email": "nobody"},
        {"name": "ana"},
    ],
)
def test_refused(stack: PatientStack, body: dict[str, Any]) -> None:
    """Without something to search by, or with something malformed, 422."""
    assert 422 == stack.send("POST", "/search", body, by=BY).status_code


def test_foreign_cursor(stack: PatientStack) -> None:
    """A cursor of another search, or one made up, is refused."""
    cursor = search(stack, query="ana", limit=1)["next_cursor"]
    assert cursor is not None
    for body in ({"query": "turcanu", "cursor": cursor}, {"query": "ana", "cursor": "AAAA"}):
        assert 400 == stack.send("POST", "/search", body, by=BY).status_code


def test_renamed(stack: PatientStack) -> None:
    """After a change of name the old one finds nobody, the new one at once; removal ends both."""
    patient_id = stack.register(first_name="Zoe", last_name="Zamfir", email=None)
    body = {"last_name": "Zaharia"}
    assert 200 == stack.send("PATCH", f"/{patient_id}", body, by=BY, match=1).status_code
    assert [] == names(stack, query="zamfir")
    assert ["Zaharia"] == names(stack, query="zoe zah")
    assert 2 == stack.count(patient_id)["patient_words"]


def everybody(stack: PatientStack, limit: int, **body: Any) -> list[str]:
    """The ids on all pages, in order."""
    ids: list[str] = []
    cursor = None
    while True:
        page = search(stack, limit=limit, cursor=cursor, **body)
        ids += [item["patient_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return ids
        assert limit == len(page["items"])


def matching(people: list[Person], query: str) -> set[str]:
    """The rule, stated plainly."""
    words = fold(query).split()
    return {
        str(one.patient_id)
        for one in people
        if all(
            any(part.startswith(word) for part in search_name(one.first_name, one.last_name)[1])
            for word in words
        )
    }


def check_pages(stack: PatientStack, people: list[Person], seed: int, rounds: int) -> None:
    """Random queries find everybody they should, each once, over pages of any size."""
    chance = random.Random(seed)
    for _ in range(rounds):
        picked = chance.choice(people)
        pool = [picked.first_name, picked.last_name, chance.choice(FIRST), chance.choice(LAST)]
        words = chance.sample(pool, chance.randint(1, 3))
        query = " ".join(word[: chance.randint(2, 8)] for word in words)
        found = everybody(stack, chance.choice((7, 50, 100)), query=query)
        assert len(set(found)) == len(found)
        expected = matching(people, query)
        assert expected == set(found), query


def test_pages(service_db: Callable[[str], str]) -> None:
    """Among 2,000 people every query's pages hold exactly its matches, each once."""
    stack = PatientStack(service_db("patient"))
    check_pages(stack, load(stack.db, 2_000, seed=1), seed=2, rounds=40)


@pytest.mark.long
def test_pages_at_volume(service_db: Callable[[str], str]) -> None:
    """The same among 100,000."""
    stack = PatientStack(service_db("patient"))
    check_pages(stack, load(stack.db, 100_000, seed=3), seed=4, rounds=25)
