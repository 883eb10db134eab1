"""The chart as a picture: well-formed, harmless, and said in words as well."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.dental_records.domain.chart import (
    Chart,
    Coding,
    Intervention,
    InterventionRecord,
    Problem,
    ProblemRecord,
    Procedure,
    Role,
    TreatedTooth,
)
from functions.dental_records.domain.odontogram import draw
from functions.dental_records.domain.teeth import LOWER, UPPER
from functions.dental_records.domain.words import WORDS
from shared.teeth import surfaces
from shared.types import Language

SVG = "{http://www.w3.org/2000/svg}"
NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
SOMEBODY = UUID(int=1)
TEETH = [tooth for arch in (*UPPER, *LOWER) for tooth in arch]


def _problem(
    number: int, tooth: str, where: tuple[str, ...], title: str, error: str | None = None
) -> ProblemRecord:
    problem = Problem(tooth, where, Coding("icd-10", "K02.1", title), "a note", SOMEBODY)
    return ProblemRecord(UUID(int=number), problem, NOW, number, NOW, error)


def _done(
    number: int, procedure: Procedure, *teeth: TreatedTooth, for_problem: int | None = None
) -> InterventionRecord:
    problems = () if for_problem is None else (UUID(int=for_problem),)
    done = Intervention(procedure, teeth, None, (), "a note", SOMEBODY, problems)
    return InterventionRecord(UUID(int=number), done, NOW, number, NOW)


def _chart(*records: ProblemRecord | InterventionRecord) -> Chart:
    chart = Chart()
    for record in records:
        if isinstance(record, ProblemRecord):
            chart = chart.with_problem(record)
        else:
            chart = chart.with_intervention(record)
    return chart


def _drawn(chart: Chart, language: Language = "en") -> Tree.Element:
    return Tree.fromstring(draw(chart, 7, language))


def _tooth(picture: Tree.Element, tooth: str) -> Tree.Element:
    return next(
        group
        for group in picture.iter(f"{SVG}g")
        if group.findtext(f"{SVG}title") == f"Tooth {tooth}"
    )


def _fills(group: Tree.Element) -> list[str]:
    return [polygon.attrib["fill"] for polygon in group.iter(f"{SVG}polygon")]


def test_every_tooth_is_drawn_with_five_surfaces() -> None:
    """Both dentitions are there, also of somebody of whom nothing is recorded."""
    picture = _drawn(Chart())
    groups = list(picture.iter(f"{SVG}g"))
    assert {f"Tooth {tooth}" for tooth in TEETH} == {g.findtext(f"{SVG}title") for g in groups}
    assert {5} == {len(_fills(group)) for group in groups}
    assert "Nothing is recorded." == picture.findtext(f"{SVG}desc")


@pytest.mark.parametrize("language", get_args(Language))
def test_the_picture_is_said_in_words(language: Language) -> None:
    """Whoever does not see it hears every record, in their language, and no note."""
    chart = _chart(
        _problem(1, "16", ("M", "O"), "Caries of dentine"),
        _problem(2, "11S", (), "Supernumerary teeth", "x"),
        _done(3, "BRIDGE", TreatedTooth("13", (), "ABUTMENT"), TreatedTooth("14", (), "PONTIC")),
    )
    picture, words = _drawn(chart, language), WORDS[language]
    said = picture.findtext(f"{SVG}desc") or ""
    assert "img" == picture.attrib["role"]
    named = {element.attrib.get("id") for element in picture}
    assert set(picture.attrib["aria-labelledby"].split()) <= named
    assert language == picture.attrib["lang"]
    assert f"{words.tooth} 16, {words.surfaces['M']}, {words.surfaces['O']}" in said
    assert f"(K02.1), {words.problem}." in said
    assert f"{words.tooth} 11S" in said
    assert words.in_error in said
    assert f"{words.tooth} 14 ({words.roles['PONTIC']}): {words.procedures['BRIDGE']}" in said
    assert "a note" not in draw(chart, 7, language)


def test_problems_are_hatched_and_what_was_treated_dotted() -> None:
    """State shows in the pattern, not in the colour alone; what was resolved is hatched no more."""
    before = _chart(_problem(1, "16", ("O",), "x"), _problem(2, "16", ("D",), "y"))
    filling = _done(3, "FILLING", TreatedTooth("16", ("O",)), for_problem=1)
    after = before.with_intervention(filling)
    assert 2 == _fills(_tooth(_drawn(before), "16")).count("url(#problem)")
    fills = _fills(_tooth(_drawn(after), "16"))
    assert (1, 1) == (fills.count("url(#problem)"), fills.count("url(#treated)"))
    patterns = {pattern.attrib["id"] for pattern in _drawn(after).iter(f"{SVG}pattern")}
    assert {"problem", "treated"} == patterns


@pytest.mark.parametrize(
    ("tooth", "right"),
    [(tooth, tooth[0] in "2367") for tooth in ("11", "21", "36", "46", "55", "61", "73", "85")],
)
def test_distal_is_away_from_the_midline(tooth: str, *, right: bool) -> None:
    """As one who faces the patient sees it: on the left half of the picture distal is left."""
    group = _tooth(_drawn(_chart(_problem(1, tooth, ("D",), "x"))), tooth)
    shapes = {p.attrib["fill"]: p.attrib["points"] for p in group.iter(f"{SVG}polygon")}
    all_x = [
        float(point.split(",")[0])
        for polygon in group.iter(f"{SVG}polygon")
        for point in polygon.attrib["points"].split()
    ]
    mean = sum(float(point.split(",")[0]) for point in shapes["url(#problem)"].split()) / 4
    assert right == (mean > (min(all_x) + max(all_x)) / 2)


def test_an_extracted_tooth_is_crossed_out_until_it_is_replaced() -> None:
    """An extraction crosses the tooth out; an implant takes its place, until that is taken out."""
    gone = _chart(_done(1, "EXTRACTION", TreatedTooth("36")))
    replaced = gone.with_intervention(_done(2, "IMPLANT", TreatedTooth("36")))
    assert 2 == len(list(_tooth(_drawn(gone), "36").iter(f"{SVG}line")))
    assert 0 == len(list(_tooth(_drawn(replaced), "36").iter(f"{SVG}line")))
    again = replaced.with_intervention(_done(3, "EXTRACTION", TreatedTooth("36")))
    assert 2 == len(list(_tooth(_drawn(again), "36").iter(f"{SVG}line")))


def test_what_was_done_to_a_tooth_goes_with_it() -> None:
    """An implant shows no filling or crown of the tooth that was there; its own crown it does."""
    records = [
        _done(1, "FILLING", TreatedTooth("36", ("O",))),
        _done(2, "CROWN", TreatedTooth("36")),
        _done(3, "EXTRACTION", TreatedTooth("36")),
    ]
    gone = _tooth(_drawn(_chart(*records)), "36")
    assert "url(#treated)" not in _fills(gone)
    assert ["36", "X"] == [text.text for text in gone.iter(f"{SVG}text")]
    implant = _chart(*records, _done(4, "IMPLANT", TreatedTooth("36")))
    assert "I" == [text.text for text in _tooth(_drawn(implant), "36").iter(f"{SVG}text")][-1]
    crowned = implant.with_intervention(_done(5, "CROWN", TreatedTooth("36")))
    assert "IC" == [text.text for text in _tooth(_drawn(crowned), "36").iter(f"{SVG}text")][-1]


@pytest.mark.parametrize("code", ["K00.0", "K08.0", "K08.1"])
def test_a_tooth_that_was_lost_elsewhere_or_never_came_is_missing(code: str) -> None:
    """Nobody has to record an extraction that they did not do."""
    lost = _problem(1, "36", (), "Loss of teeth")
    coding = replace(lost.problem.code, code=code)
    chart = _chart(replace(lost, problem=replace(lost.problem, code=coding)))
    assert 2 == len(list(_tooth(_drawn(chart), "36").iter(f"{SVG}line")))
    replaced = chart.with_intervention(_done(2, "IMPLANT", TreatedTooth("36")))
    assert 0 == len(list(_tooth(_drawn(replaced), "36").iter(f"{SVG}line")))
    wrong = _chart(replace(lost, problem=replace(lost.problem, code=coding), error="not lost"))
    assert 0 == len(list(_tooth(_drawn(wrong), "36").iter(f"{SVG}line")))


@pytest.mark.parametrize("tooth", ["18S9", "28S9", "38S9", "48S9", "55S9", "65S9"])
def test_nothing_is_drawn_outside_of_the_picture(tooth: str) -> None:
    """Also the ninth tooth too many is on it."""
    picture = _drawn(_chart(_problem(1, tooth, (), "x")))
    width = float(picture.attrib["width"])
    points = (
        float(point.split(",")[0])
        for polygon in _tooth(picture, tooth).iter(f"{SVG}polygon")
        for point in polygon.attrib["points"].split()
    )
    assert all(0 <= x <= width for x in points)


@pytest.mark.parametrize("language", get_args(Language))
def test_right_and_left_are_told_apart(language: Language) -> None:
    """In every language the two sides are called differently."""
    texts = {text.text for text in _drawn(Chart(), language).iter(f"{SVG}text")}
    words = WORDS[language]
    assert words.right != words.left
    assert {words.right, words.left} <= texts


def test_the_picture_says_of_when_it_is() -> None:
    """A chart of the past cannot be taken for one of today, nor for one that knew more."""
    title = Tree.fromstring(draw(Chart(), 3, "en", NOW, NOW)).findtext(f"{SVG}title")
    when = "2026-01-15 10:30 UTC"
    assert f"Tooth chart: As of {when}, as known on {when}, version 3" == title


@settings(max_examples=60, deadline=None)
@given(
    title=st.text(max_size=40),
    tooth=st.sampled_from([*TEETH, "11S", "48S3"]),
    procedure=st.sampled_from(get_args(Procedure)),
    role=st.sampled_from([None, *get_args(Role)]),
    language=st.sampled_from(get_args(Language)),
)
def test_any_chart_is_a_well_formed_picture(
    title: str, tooth: str, procedure: Procedure, role: Role | None, language: Language
) -> None:
    """Whatever codes say, the picture is XML, shows the words as they are and runs nothing."""
    chart = _chart(
        _problem(1, tooth, surfaces(tooth)[:2], title),
        _done(2, procedure, TreatedTooth(tooth, (), role), TreatedTooth("15", (), role)),
    )
    text = draw(chart, 1, language, NOW)
    picture = Tree.fromstring(text)
    shown = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", title)
    said = picture.findtext(f"{SVG}desc") or ""
    assert " ".join(shown.split()) in " ".join(said.split())
    names = {element.tag.removeprefix(SVG) for element in picture.iter()}
    assert names <= {
        *("svg", "title", "desc", "defs", "pattern", "rect", "circle", "g", "polygon"),
        *("text", "line"),
    }
    attributes = {name for element in picture.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name}
    assert "style" not in attributes


def test_what_codes_say_is_escaped() -> None:
    """A title that looks like markup is text."""
    evil = '</desc><script>alert("1")</script>'
    text = draw(_chart(_problem(1, "16", (), evil)), 1, "en")
    assert "<script" not in text
    assert evil in (Tree.fromstring(text).findtext(f"{SVG}desc") or "")
