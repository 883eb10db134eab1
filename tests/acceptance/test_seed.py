"""The sample data in full: killed half-way, filled up, filled up again, and read as people do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.client import Answer, Person
from infra.local.preflight import free_port
from infra.local.stack import Stack
from infra.seed.calendar import many, seat
from infra.seed.desk import asks, comes
from infra.seed.group import Group

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
COUNT = 60  # more than fit in one transaction


def _seed(stack: Stack, **more: str) -> subprocess.Popen[str]:
    variables = {
        "PYTHONUNBUFFERED": "1",
        "URL": stack.url,
        "ADMIN_FILE": str(stack.directory / "admin.json"),
        "COUNT": str(COUNT),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "infra.seed"],
        env={**os.environ, **variables, **more},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[Stack, list[str]]]:
    """A platform, and what was said by three runs of which the first one was killed."""
    with (
        tempfile.TemporaryDirectory(prefix="dh-", ignore_cleanup_errors=True) as directory,
        Stack(Path(directory)) as stack,
    ):
        killed = _seed(stack)
        # Objects come before the rows that name them: now it is in the middle of somebody's year.
        while killed.poll() is None and not (stack.directory / "objects" / "xrays").exists():
            time.sleep(0.02)
        assert killed.poll() is None
        killed.kill()
        killed.communicate()
        said = []
        for _ in range(2):
            run = _seed(stack)
            text, _ = run.communicate(timeout=1800)
            assert 0 == run.returncode, text
            said.append(text)
        yield stack, said


def test_what_a_killed_run_left_out_is_added(told: tuple[Stack, list[str]]) -> None:
    """The next run goes on where one was killed, and all of it agrees; one more adds nothing."""
    _, said = told
    for text in said:
        assert f"0 new, {COUNT} there already" in text
        for kind in ("problems", "interventions", "xrays", "treatments", "prescriptions"):
            promised = sum(many(kind, number) for number in range(COUNT))
            assert f" {promised:,} {kind} of the past" in text
        assert "audit-verify are clean" in text


@pytest.fixture
def group(told: tuple[Stack, list[str]]) -> Group:
    """The group as the tool sees it."""
    stack, _ = told
    found = Group(stack.url, stack.admin.email, stack.admin.password, COUNT)
    found.open()
    found.verify()
    return found


def test_whoever_treats_people_reads_their_year(
    told: tuple[Stack, list[str]], group: Group
) -> None:
    """Every list shows each patient exactly what they have, opened with their key."""
    stack, _ = told
    dentists: dict[tuple[int, int], Person] = {}
    for number, who in group.people.items():
        of = seat(number)
        if (of.clinic, of.dentist) not in dentists:
            email = group.email("dentist", of.clinic + 1, of.dentist + 1)
            dentists[of.clinic, of.dentist] = Person(stack.url, email, group.password(email))
        me, clinic = dentists[of.clinic, of.dentist], group.clinics[of.clinic].clinic_id
        here = f"patient_id={who}&clinic_id={clinic}"
        shown = {
            "appointments": f"/api/appointments?{here}",
            "requests": f"/api/appointments/requests?{here}",
            "problems": f"/api/dental-records/{who}/problems?",
            "interventions": f"/api/dental-records/{who}/interventions?",
            "xrays": f"/api/xrays?patient_id={who}",
            "treatments": f"/api/treatments?patient_id={who}",
            "prescriptions": f"/api/treatments/prescriptions?patient_id={who}",
        }
        for kind, path in shown.items():
            assert many(kind, number) == len(_items(me, f"{path}&limit=100")), (kind, number)
        for image in _items(me, f"/api/xrays?patient_id={who}&limit=1"):
            preview = me.call("GET", f"/api/xrays/{image['xray_id']}/preview?center=100&width=50")
            assert 200 == preview.status


def test_what_is_to_come_has_its_time(group: Group) -> None:
    """Who has an appointment to come holds its slot, and who asked for one waits for an answer."""
    for number, who in group.people.items():
        clinic = group.clinics[seat(number).clinic].clinic_id
        desk = group.reception(seat(number).clinic)
        here = f"patient_id={who}&clinic_id={clinic}"
        standing = _items(desk, f"/api/appointments?{here}&status=CONFIRMED")
        assert comes(number) == len(standing)
        assert asks(number) == len(_items(desk, f"/api/appointments/requests?{here}&status=OPEN"))
        for visit in standing:
            again = {
                "patient_id": visit["patient_id"],
                "practitioner_id": visit["practitioner_id"],
                "type_id": visit["type_id"],
                "starts_at": visit["starts_at"],
            }
            assert 409 == desk.call("POST", "/api/appointments", again).status


def test_another_platform_is_not_filled(told: tuple[Stack, list[str]]) -> None:
    """Where no databases of a platform can be found, that is said before anything is made."""
    stack, _ = told
    empty = str(stack.directory / "elsewhere")
    run = _seed(stack, DATA=empty)
    text, _ = run.communicate(timeout=300)
    assert 1 == run.returncode
    assert "works on the embedded platform only" in text
    assert 1 == len(text.splitlines())
    unheard = _seed(stack, URL=f"http://127.0.0.1:{free_port()}")
    assert "make run" in unheard.communicate(timeout=300)[0]


def _items(who: Person, path: str) -> list[dict[str, Any]]:
    answer: Answer = who.call("GET", path)
    assert 200 == answer.status, (path, answer.body)
    found: list[dict[str, Any]] = answer.body["items"]
    assert all(UUID(one["patient_id"]) for one in found if "patient_id" in one)
    return found
