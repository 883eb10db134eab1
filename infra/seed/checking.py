"""Is everything there that a year has, and does the platform say that all of it agrees?"""

from __future__ import annotations

import os
import subprocess  # nosec B404
import sys
import time
from collections import Counter
from pathlib import Path

from functions.dental_records.store.projection import PROJECTION
from functions.xray.domain import model
from infra.seed.appointments import appointment_id, request_id
from infra.seed.bulk import Patient
from infra.seed.charts import intervention_id, problem_id
from infra.seed.filling import Past
from infra.seed.group import Unfilled
from infra.seed.news import notification_id, told
from infra.seed.pictures import xray_id
from infra.seed.plans import prescription_id, treatment_id
from shared.blobs import objects
from shared.runtime import database

__all__ = ["agrees", "counted"]

_TRIES, _PAUSE_S = 6, 10.0
_TOOLS = (("infra.validate",), ("infra.replay", "--check"), ("infra.audit_verify",))
_TABLES = {
    "appointments": ("appointment", "appointments", "appointment_id"),
    "requests": ("appointment", "appointment_requests", "request_id"),
    "problems": ("dental_records", PROJECTION.live(), "problem_id"),
    "interventions": (
        "dental_records",
        PROJECTION.live("tooth_interventions"),
        "intervention_id",
    ),
    "xrays": ("xray", "xrays", "xray_id"),
    "treatments": ("treatment", "treatments", "treatment_id"),
    "prescriptions": ("treatment", "prescriptions", "prescription_id"),
    "notifications": ("notification", "notifications", "id"),
}


def counted(past: Past) -> Counter[str]:
    """How many of each kind are there. Raises Unfilled naming how many are missing."""
    there: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for _, (found, lost) in past.each(_look):
        there += found
        missing += lost
    if missing:
        told_of = ", ".join(f"{many} {kind}" for kind, many in sorted(missing.items()))
        raise Unfilled(f"not everything is there: {told_of} are missing")
    return there


def agrees(directory: Path) -> None:
    """Let the operators' tools look at the platform in ``directory``. What is under way may arrive
    meanwhile. Raises Unfilled with what a tool says."""
    for tool in _TOOLS:
        for tries in range(1, _TRIES + 1):
            looked = subprocess.run(  # nosec B603
                [sys.executable, "-m", *tool],
                env={**os.environ, "DATA": str(directory)},
                capture_output=True,
                text=True,
                check=False,
            )
            if looked.returncode == 0:
                break
            if tries == _TRIES:
                raise Unfilled(f"{' '.join(tool)} says:\n{looked.stdout}{looked.stderr}")
            time.sleep(_PAUSE_S)


def _look(people: list[Patient]) -> tuple[Counter[str], Counter[str]]:
    wanted = {
        "appointments": [appointment_id(who, v) for who in people for v in who.year.visits],
        "requests": [request_id(who, each) for who in people for each in who.year.asked],
        "problems": [problem_id(who, each) for who in people for each in who.mouth.findings],
        "interventions": [intervention_id(who, each) for who in people for each in who.mouth.deeds],
        "xrays": [xray_id(who, each) for who in people for each in who.mouth.pictures],
        "treatments": [treatment_id(who, each) for who in people for each in who.mouth.plans],
        "prescriptions": [
            prescription_id(who, each) for who in people for each in who.mouth.prescribed
        ],
        "notifications": [notification_id(who, each) for who in people for each in told(who)],
    }
    there: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for kind, ids in wanted.items():
        service, table, column = _TABLES[kind]
        sql = f"select count(*) as n from {table} t where {column} = any(:ids::uuid[])"  # nosec B608
        row = database(service).one(sql, ids=ids) or {"n": 0}
        there[kind] += row["n"]
        missing[kind] += len(ids) - row["n"]
    for who in people:
        for each in who.mouth.pictures:
            path = model.original(who.patient_id, xray_id(who, each))
            missing["images"] += objects().stat(path) is None
    return there, +missing
