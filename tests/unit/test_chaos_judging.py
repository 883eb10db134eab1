"""What judges a broken platform can fail: it finds what is lost, doubled or too much."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from infra.chaos.books import Verdict, judged, mails
from infra.chaos.matrix import REACHED, Result, cells
from infra.chaos.people import Patient, somebody
from infra.chaos.report import summary, write
from infra.chaos.scenarios import SCENARIOS
from infra.chaos.torture import Report, Seen
from shared.faults import POINTS

_RESULT = Result("erasure", "inbox.handled", "patient.events", "kill", "7.1", True, 12, 1.5)


def _patient() -> Patient:
    """Somebody who expects one profile and two mails."""
    patient = somebody("unit", 1)
    patient.patient_id = "p"
    patient.expected = Counter({"profile": 1, "mail: WELCOME": 2})
    return patient


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"profile": 1, "mail: WELCOME": 2}, Verdict()),
        (
            {"mail: WELCOME": 2},
            Verdict(lost=1, anomalies=["person 1: profile: 0, not 1"]),
        ),
        (
            {"profile": 2, "mail: WELCOME": 2},
            Verdict(doubled=1, anomalies=["person 1: profile: 2, not 1"]),
        ),
        (
            {"profile": 1, "mail: WELCOME": 2, "delivery DEAD": 1},
            Verdict(doubled=1, anomalies=["person 1: delivery DEAD: 1, not 0"]),
        ),
        (
            {"profile": 2, "mail: WELCOME": 0},
            Verdict(
                lost=2,
                doubled=1,
                anomalies=[
                    "person 1: mail: WELCOME: 0, not 2",
                    "person 1: profile: 2, not 1",
                ],
            ),
        ),
    ],
)
def test_every_difference_is_found(found: dict[str, int], expected: Verdict) -> None:
    """What is missing is lost, what is there too often is doubled, one does not hide the other."""
    books = Counter({("p", effect): n for effect, n in found.items()})
    books["somebody else", "profile"] = 1
    assert expected == judged([_patient()], books)


def test_a_mail_that_came_twice_is_told_from_two_mails(tmp_path: Path) -> None:
    """Under one Message-ID it is one effect handed over twice; under two it is two effects."""
    patient = replace(_patient(), addresses=["a@example.com"])
    for number, identity in enumerate(("<1@x>", "<1@x>", "<2@x>")):
        mail = EmailMessage()
        mail["Delivered-To"] = "a@example.com"
        mail["Message-ID"] = identity
        mail["Subject"] = "something else"
        (tmp_path / f"{number:020d}-aa.eml").write_bytes(bytes(mail))
    found, twice = mails(tmp_path, [patient])
    assert {("p", "mail: something else"): 2} == found
    assert 1 == twice


def test_the_matrix_covers_every_point() -> None:
    """Each fault point is passed in some scenario, but those no service passes by itself; what the
    table names exists, and every cell is in a target of a service."""
    assert [scenario.name for scenario in SCENARIOS] == list(REACHED)
    named = {point for points in REACHED.values() for point in points}
    assert {"projection.flipped", "xray.copied", "xray.stored"} == POINTS.keys() - named
    assert set() == named - POINTS.keys()
    assert {"http", "events"} == {cell.process.partition(".")[2] for cell in cells()}


def test_the_report_says_what_is_wrong_and_needs_nothing_else(tmp_path: Path) -> None:
    """An anomaly stands in the page and in the summary; nothing is fetched and nothing runs."""
    bad = replace(_RESULT, lost=1, anomalies=["<person 1>: profile: 0, not 1"])
    rounds = replace(_RESULT, action="random", seconds=3.0)
    page = tmp_path / "chaos" / "report.html"
    tortured = Report(events=1_000, lost=2, readers=[Seen(3, 4, 0, "a")], naive=Seen(5, 0, 0, ""))
    write([_RESULT, bad, rounds], tortured, page, seed=7, seconds=60)
    text = page.read_text(encoding="utf-8")
    assert "&lt;person 1&gt;: profile: 0, not 1" in text
    assert "event store: lost: 2" in text
    assert 4 == text.count("<svg")
    assert [] == [
        word for word in ("<script", "http:", "https:", "<link", "@import") if word in text
    ]
    expected = (
        "3 faults and rounds, 36 requests: 1 lost, 0 doubled, 3 anomalies;"
        " 0 mails handed over twice under one Message-ID;"
        " 1,000 events of a tortured store: 2 lost, 3 missed, 4 doubled"
    )
    assert expected == summary([_RESULT, bad, rounds], tortured)
