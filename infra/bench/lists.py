"""What people look at all day: a clinic's day, a patient's appointments, free slots, a chart."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from infra.bench import group
from infra.bench.harness import Checks, Figure, interleave, percentile
from infra.bench.load import Exchange, drive, request
from infra.bench.place import Place
from infra.bench.timetable import first_day
from shared.db import Database

__all__ = ["run"]

_LOOKS = 30  # of each kind, per round and side
_CHARTS = 50  # patients who have one
_PROBLEMS = 12  # in each
_DENTIST = "00000000-0000-4000-8000-0000000000d3"
_APPOINTMENTS = "/api/appointments"
_RECORDS = "/api/dental-records"


@dataclass(frozen=True)
class _View:
    """One kind of look; ``asked`` gives requests with what a right answer holds, ``sql`` selects
    the rows that it is made of."""

    what: str
    port: int
    db: Database
    asked: Callable[[random.Random], tuple[Exchange, dict[str, Any]]]
    sql: str


def run(place: Place) -> list[Figure]:
    """One look at a time over HTTP, each on record; against the rows alone, by the same driver."""
    views = [*_of_appointments(place), _of_charts(place)]
    figures = [_figure(view) for view in views]
    for view in views:
        view.db.close()
    place.end("appointment", "dental_records")
    return figures


def _figure(view: _View) -> Figure:
    checks, times = Checks(), [0.0] * 0

    def look(round_: int) -> float:
        chance = random.Random(f"{view.what} {round_}")  # nosec B311
        load = drive(view.port, _some(view, chance), connections=1)
        checks.operations += load.right + load.wrong
        checks.missed += load.wrong
        if round_:
            times.extend(load.times)
        return median(load.times) * 1000

    def select(round_: int) -> float:
        chance, took = random.Random(f"{view.what} {round_}"), []  # nosec B311
        for _ in range(_LOOKS):
            params = view.asked(chance)[1]
            began = perf_counter()
            view.db.all(view.sql, **params)
            took.append(perf_counter() - began)
        return median(took) * 1000

    ours, theirs = interleave(look, select)
    p50, p99 = (percentile(times, share) * 1000 for share in (0.50, 0.99))
    note = f"Over all rounds ({len(times)} looks): p50 {p50:.1f} ms, p99 {p99:.1f} ms."
    return Figure(
        f"{view.what}, over HTTP: p50 of each round",
        "a plain select of the same rows by the same driver",
        "ms",
        ours,
        theirs,
        None,
        checks,
        [note],
    )


def _some(view: _View, chance: random.Random) -> Iterator[Exchange]:
    for _ in range(_LOOKS):
        yield view.asked(chance)[0]


def _of_appointments(place: Place) -> Sequence[_View]:
    db = place.admin("appointment_db")
    clinic = group.fill_large(db, first_day())
    port = place.serve("appointment", ["appointment"])
    desk = place.token(_DENTIST, "DENTIST")

    def get(path: str, holds: str, token: str, **query: str) -> Exchange:
        sent = request("GET", f"{_APPOINTMENTS}{path}?{urlencode(query)}", token=token)
        return Exchange(sent, b"200", holds.encode())

    def of_day(chance: random.Random) -> tuple[Exchange, dict[str, Any]]:
        day = chance.choice(clinic.days)
        since = datetime.combine(day, time(), UTC)
        seen = get("/day", f"{day}T17:30:00Z", desk, clinic_id=str(clinic.clinic_id), day=str(day))
        until = since + timedelta(days=1)
        return seen, {"clinic": clinic.clinic_id, "since": since, "until": until}

    def of_patient(chance: random.Random) -> tuple[Exchange, dict[str, Any]]:
        patient = chance.choice(clinic.patients)
        token = place.token(str(patient), "PATIENT")
        return get("", f'"{patient}"', token, patient_id=str(patient)), {"patient": patient}

    def free(chance: random.Random) -> tuple[Exchange, dict[str, Any]]:
        who, since = chance.choice(clinic.practitioners), clinic.days[0]
        until = since + timedelta(days=14)
        window = {"from": f"{since}T00:00:00Z", "to": f"{until}T00:00:00Z"}
        named = {"practitioner_id": str(who), "type_id": str(clinic.type_id), **window}
        params = {"who": who, "since": since, "until": until}
        # Somebody is there until eight, and booked until six.
        return get("/slots", f"{since}T18:00:00Z", desk, **named), params

    return [
        _View(
            f"the day of a clinic with {group.LARGE} practitioners, 16 visits of each",
            port,
            db,
            of_day,
            "select * from appointments where clinic_id = :clinic and starts_at >= :since"
            " and starts_at < :until order by practitioner_id, starts_at",
        ),
        _View(
            "a patient's own appointments, 20 of them",
            port,
            db,
            of_patient,
            "select * from appointments where patient_id = :patient order by starts_at",
        ),
        _View(
            "the free slots of a practitioner in two weeks",
            port,
            db,
            free,
            "select starts_at, ends_at from appointments where practitioner_id = :who"
            " and starts_at >= :since and starts_at < :until order by starts_at",
        ),
    ]


def _of_charts(place: Place) -> _View:
    db = place.admin("dental_records_db")
    patients = [UUID(f"00000000-0000-4000-8000-000006{n:06}") for n in range(_CHARTS)]
    known = "insert into known_people (person_id) select unnest(:people::uuid[])"
    db.all(known, people=patients)
    port, token = (
        place.serve("dental_records", ["dental_records"]),
        place.token(_DENTIST, "DENTIST"),
    )
    wrong = drive(port, _problems(patients, token), connections=8).wrong
    if wrong:
        raise RuntimeError(f"{wrong} problems were not recorded")

    def of_chart(chance: random.Random) -> tuple[Exchange, dict[str, Any]]:
        patient = chance.choice(patients)
        sent = request("GET", f"{_RECORDS}/{patient}/chart", token=token)
        return Exchange(sent, b"200", _note(patient, _PROBLEMS - 1)), {"patient": patient}

    return _View(
        f"a tooth chart with {_PROBLEMS} problems, each unsealed",
        port,
        db,
        of_chart,
        "select * from events where category = 'tooth_chart' and id = :patient order by version",
    )


def _problems(patients: Sequence[UUID], token: str) -> Iterator[Exchange]:
    """Of all patients in turn, so that few meet at one chart."""
    for number in range(_PROBLEMS):
        for patient in patients:
            body = {
                "tooth": str(11 + number % 8 + number // 8 * 10),
                "code": "K02.1",
                "note": _note(patient, number).decode(),
            }
            sent = request(
                "POST",
                f"{_RECORDS}/{patient}/problems",
                token=token,
                body=json.dumps(body).encode(),
            )
            yield Exchange(sent, b"201", b"")


def _note(patient: UUID, number: int) -> bytes:
    return f"finding {number} of {patient}".encode()
