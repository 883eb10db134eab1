"""Code systems: the shipped one, and the operator's own."""

from __future__ import annotations

import pytest

from tests.dental_stack import CARIES, DentalStack, admin
from tests.service_stack import stack_fixture

CATALOGUE = {
    "title": "Procedures of this group",
    "version": "2026",
    "codes": [
        {"code": "P-100", "title": "Composite filling, two surfaces"},
        {"code": "P-200", "title": "Ceramic crown"},
        {"code": "P-300", "title": "Gold crown"},
    ],
}

stack = stack_fixture(DentalStack)


@pytest.fixture(scope="module", autouse=True)
def _loaded(stack: DentalStack) -> None:
    answer = stack.ok("PUT", "/code-systems/house", CATALOGUE, by=admin())
    assert {"system": "house", "loaded": 3} == answer


def test_the_shipped_codes_are_there(stack: DentalStack) -> None:
    """Without anything loaded there are the diseases of teeth and mouth, found by code or words."""
    systems = {row["system"]: row["codes"] for row in stack.ok("GET", "/code-systems")}
    assert {"icd-10": 124, "house": 3} == systems
    by_code = stack.ok("GET", "/code-systems/icd-10/codes?query=k02.&limit=2")
    assert ["K02.0", "K02.1"] == [row["code"] for row in by_code["items"]]
    more = stack.ok("GET", f"/code-systems/icd-10/codes?query=k02.&cursor={by_code['next_cursor']}")
    assert "K02.2" == more["items"][0]["code"]
    by_words = stack.ok("GET", "/code-systems/icd-10/codes?query=impacted")
    assert ["K01", "K01.1"] == [row["code"] for row in by_words["items"]]


def test_a_loaded_catalogue_says_what_was_done(stack: DentalStack) -> None:
    """A code of the operator's is recorded with what it says at that time."""
    patient = stack.registered()
    body = {"procedure": "CROWN", "teeth": [{"tooth": "26"}], "system": "house", "code": "P-200"}
    done = stack.performed(patient, **body)
    assert ("house", "P-200", "Ceramic crown") == (done["system"], done["code"], done["title"])
    renamed = {"code": "P-200", "title": "Ceramic crown, full"}
    stack.ok("PUT", "/code-systems/house", {**CATALOGUE, "codes": [renamed]}, by=admin())
    path = f"/{patient}/interventions/{done['intervention_id']}"
    assert "Ceramic crown" == stack.ok("GET", path)["title"]
    assert "Ceramic crown, full" == stack.performed(patient, **body)["title"]


def test_a_withdrawn_code_is_refused(stack: DentalStack) -> None:
    """It stays where it is recorded, and cannot be recorded any more."""
    patient = stack.registered()
    body = {"procedure": "CROWN", "teeth": [{"tooth": "26"}], "system": "house", "code": "P-300"}
    done = stack.performed(patient, **body)
    gone = {"code": "P-300", "title": "Gold crown", "withdrawn": True}
    stack.ok("PUT", "/code-systems/house", {**CATALOGUE, "codes": [gone]}, by=admin())
    refused = stack.send("POST", f"/{patient}/interventions", body)
    assert (422, "/code") == (refused.status_code, (refused.json or {})["errors"][0]["pointer"])
    path = f"/{patient}/interventions/{done['intervention_id']}"
    assert "Gold crown" == stack.ok("GET", path)["title"]
    assert [] == stack.ok("GET", "/code-systems/house/codes?query=gold")["items"]


def test_what_is_shipped_is_not_replaced(stack: DentalStack) -> None:
    """Nobody changes what a code of the World Health Organization says."""
    answer = stack.send("PUT", "/code-systems/icd-10", CATALOGUE, by=admin())
    assert 409 == answer.status_code
    assert "Caries of dentine" == stack.diagnosed(stack.registered())["title"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/code-systems/nothing/codes", 404), ("/code-systems/NO%20NAME/codes", 404)],
)
def test_there_is_no_such_system(stack: DentalStack, path: str, status: int) -> None:
    """A system that was never loaded has no codes, and none may be recorded."""
    assert status == stack.send("GET", path).status_code
    unknown = {**CARIES, "system": "nothing"}
    assert 422 == stack.send("POST", f"/{stack.registered()}/problems", unknown).status_code


def test_a_code_stands_once_in_a_portion(stack: DentalStack) -> None:
    """A portion that says two things of one code is refused."""
    twice = {**CATALOGUE, "codes": [{"code": "P", "title": "a"}, {"code": "P", "title": "b"}]}
    answer = stack.send("PUT", "/code-systems/house", twice, by=admin())
    assert (422, "/codes") == (answer.status_code, (answer.json or {})["errors"][0]["pointer"])
