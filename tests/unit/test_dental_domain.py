"""Teeth, their surfaces, and what contradicts itself."""

from __future__ import annotations

import csv
import re
from itertools import chain
from pathlib import Path

import pytest

from functions.dental_records.domain.chart import Procedure, TreatedTooth
from functions.dental_records.domain.rules import wrong_with
from functions.dental_records.domain.teeth import LOWER, UPPER, place
from shared.teeth import checked_surfaces, is_tooth, surfaces

DRAWN = [tooth for arch in (*UPPER, *LOWER) for tooth in arch]


def test_there_are_52_teeth() -> None:
    """ISO 3950 names 32 permanent and 20 deciduous teeth, each once, and nothing else."""
    named = [f"{number:02}" for number in range(100) if is_tooth(f"{number:02}")]
    assert sorted(DRAWN) == named
    assert (52, 20) == (len(named), sum(tooth >= "51" for tooth in named))


@pytest.mark.parametrize("tooth", ["11S", "48S2", "85S9"])
def test_supernumerary_teeth_stand_beside_others(tooth: str) -> None:
    """A supernumerary tooth is named by its neighbour and has the surfaces of one there."""
    assert is_tooth(tooth)
    assert surfaces(tooth[:2]) == surfaces(tooth)
    assert place(tooth[:2]) < place(tooth)


@pytest.mark.parametrize(
    "text", ["", "1", "10", "19", "56", "90", "11S1", "11S0", "S11", "11s", "111", "11\n", "１１"]
)
def test_what_is_no_tooth(text: str) -> None:
    """Nothing else designates a tooth."""
    assert not is_tooth(text)


@pytest.mark.parametrize(
    ("tooth", "letters"),
    [
        ("11", "MDIVP"),
        ("13", "MDIVP"),
        ("33", "MDIVL"),
        ("16", "MDOBP"),
        ("44", "MDOBL"),
        ("53", "MDIVP"),
        ("54", "MDOBP"),
        ("85", "MDOBL"),
    ],
)
def test_each_tooth_has_five_surfaces(tooth: str, letters: str) -> None:
    """Front teeth have an edge and face the lips, back teeth chew and face the cheek; upper teeth
    face the palate, lower ones the tongue."""
    assert tuple(letters) == surfaces(tooth)


def test_surfaces_have_one_order() -> None:
    """However they are given, they come out in the same order, and none twice."""
    assert ("M", "D", "O") == checked_surfaces("16", ["O", "M", "D"])
    for wrong in (["I"], ["M", "M"], ["m"]):
        with pytest.raises(ValueError, match="surface"):
            checked_surfaces("16", wrong)


@pytest.mark.parametrize(
    ("procedure", "teeth", "wrong"),
    [
        ("BRIDGE", [("15", "ABUTMENT"), ("16", "PONTIC")], []),
        ("BRIDGE", [("15", "ABUTMENT"), ("16", None)], ["/teeth/1/role"]),
        ("BRIDGE", [("15", "ABUTMENT"), ("16", "ABUTMENT")], ["/teeth"]),
        ("BRIDGE", [("15", "ABUTMENT"), ("45", "PONTIC")], ["/teeth"]),
        ("SPLINT", [("31", None), ("41", None)], []),
        ("SPLINT", [("31", None)], ["/teeth"]),
        ("SEALANT", [("16", None), ("36", None)], []),
        ("CROWN", [("16", "PONTIC")], ["/teeth/0/role"]),
        ("CROWN", [("16", None), ("16", None)], ["/teeth"]),
        ("FILLING", [("16", None)], ["/teeth/0/surfaces"]),
        ("EXTRACTION", [("16", None)], []),
    ],
)
def test_what_contradicts_itself(
    procedure: Procedure, teeth: list[tuple[str, str | None]], wrong: list[str]
) -> None:
    """Bridges and splints join teeth of one jaw, and only a bridge's teeth have a role in it."""
    treated = [TreatedTooth(tooth, (), role) for tooth, role in teeth]  # type: ignore[arg-type]
    assert wrong == [pointer for pointer, _ in wrong_with(procedure, treated)]


@pytest.mark.parametrize("procedure", ["EXTRACTION", "IMPLANT"])
def test_a_tooth_is_not_taken_out_by_surfaces(procedure: Procedure) -> None:
    """What is done to the tooth as a whole has no surfaces."""
    wrong = wrong_with(procedure, [TreatedTooth("16", ("O",))])
    assert ["/teeth/0/surfaces"] == [pointer for pointer, _ in wrong]


def test_the_shipped_codes_are_whole() -> None:
    """ICD-10 K00 to K14: every category with its subcategories, each once, none without words."""
    file = Path(__file__).parents[2] / "functions" / "dental_records" / "icd-10.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [(row["code"], row["title"].strip()) for row in csv.DictReader(lines)]
    codes = [code for code, _ in rows]
    assert sorted(set(codes)) == codes
    assert all(title for _, title in rows)
    assert all(re.fullmatch(r"K(0[0-9]|1[0-4])(\.[0-9])?", code) for code in codes)
    categories = {code[:3] for code in codes}
    assert {f"K{number:02}" for number in range(15)} == categories
    assert categories <= set(codes)
    assert categories == {code[:3] for code in chain(codes) if "." in code}
