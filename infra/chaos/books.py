"""How often what a person did took effect, by the books of every service and of the world outside.

An effect is counted where it lies: in the tables of each service, in its audit log, among the
mails the sink was given, in the ledger of erasures.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from functions.notification.domain.choices import CHANNELS
from functions.notification.service import texts
from infra.chaos.ledgers import Ledgers
from infra.chaos.people import Patient
from shared.privacy import Privacy
from shared.types import Language

__all__ = ["Verdict", "effects", "judged", "mails", "remains"]

_AUDIT = """
select person_id as who, '{service} audit: ' || action || ' ' || what as effect, count(*) as n
  from audit_log where person_id = any(:people) and action in ('create', 'write', 'erase')
 group by 1, 2
"""
_ERASED = """
select person_id as who, 'erased in {service}' as effect, 1 as n
  from erased_people where person_id = any(:people)
"""
_EFFECTS: dict[str, tuple[str, ...]] = {
    "auth": (
        "select id as who, 'account ' || status as effect, 1 as n"
        " from users where id = any(:people)",
        "select s.subject as who, 'registration completed' as effect, count(*) as n"
        " from sagas s join saga_log l on l.saga_id = s.id and l.event = 'completed'"
        " where s.subject = any(:people) group by 1",
        "select person_id as who, 'erasure ' || status as effect, 1 as n"
        " from erasures where person_id = any(:people) and receipt is not null",
    ),
    "patient": (
        "select patient_id as who, 'profile' as effect, 1 as n"
        " from patients where patient_id = any(:people)",
    ),
    "notification": (
        "select person_id as who, 'in the app: ' || kind as effect, count(*) as n"
        " from notifications where person_id = any(:people) group by 1, 2",
        "select person_id as who, 'delivery ' || state || ': ' || kind || ' to ' || recipient"
        " as effect, count(*) as n from deliveries where person_id = any(:people) group by 1, 2",
    ),
}


@dataclass
class Verdict:
    """What the books say about some people."""

    lost: int = 0
    doubled: int = 0
    twice: int = 0
    """Mails handed over again after a crash, under the Message-ID that they had: SMTP has no
    transactions, so this can happen; the receiver can tell."""
    anomalies: list[str] = field(default_factory=list)


def judged(patients: Iterable[Patient], found: Counter[tuple[str, str]], twice: int = 0) -> Verdict:
    """Compare what every patient expects with ``found``: (patient_id, effect) -> how often."""
    verdict = Verdict(twice=twice)
    for patient in patients:
        mine = {effect: n for (who, effect), n in found.items() if who == patient.patient_id}
        for effect in sorted({*mine, *patient.expected}):
            wanted, there = patient.expected[effect], mine.get(effect, 0)
            if there == wanted:
                continue
            verdict.lost += max(0, wanted - there)
            verdict.doubled += max(0, there - wanted)
            verdict.anomalies.append(f"person {patient.number}: {effect}: {there}, not {wanted}")
    return verdict


def effects(
    ledgers: Ledgers, directory: Path, patients: Sequence[Patient]
) -> tuple[Counter[tuple[str, str]], int]:
    """(patient_id, effect) -> how often, and how many mails were handed over more than once.

    ``directory`` is the platform's.
    """
    people = [UUID(patient.patient_id) for patient in patients]
    found: Counter[tuple[str, str]] = Counter()
    for service in ledgers.services:
        for sql in (*_EFFECTS.get(service, ()), _AUDIT, _ERASED):
            for row in ledgers.all(service, sql.replace("{service}", service), people=people):
                found[str(row["who"]), row["effect"]] += row["n"]
    wanted = {patient.patient_id for patient in patients}
    for file in (directory / "blobs" / "erasures").rglob("*.json"):
        who = json.loads(file.read_bytes())["person_id"]
        if who in wanted:
            found[who, "entry in the ledger"] += 1
    received, twice = mails(directory / "mail", patients)
    return found + received, twice


def remains(ledgers: Ledgers, patients: Iterable[Patient]) -> list[str]:
    """What an erasure should have taken and did not."""
    found = []
    for patient in patients:
        for service in ledgers.services if patient.erased else ():
            privacy: Privacy = import_module(f"functions.{service}.privacy").privacy
            left = privacy.remains(ledgers.database(service), UUID(patient.patient_id))
            keys = ledgers.all(
                service,
                "select count(*) as n from subject_keys where subject = :who",
                who=UUID(patient.patient_id),
            )
            if left or keys[0]["n"]:
                found.append(f"person {patient.number} remains in {service}: {left}, {keys}")
    return found


def mails(directory: Path, patients: Sequence[Patient]) -> tuple[Counter[tuple[str, str]], int]:
    """Mails that differ, and how many came more than once."""
    owner = {email: patient.patient_id for patient in patients for email in patient.addresses}
    handed: Counter[tuple[str, str, str]] = Counter()
    for file in directory.glob("[0-9]*.eml"):
        recipient, kind, identity = _read(file)
        if recipient in owner:
            handed[owner[recipient], f"mail: {kind}", identity] += 1
    distinct = Counter((who, effect) for who, effect, _ in handed)
    return distinct, handed.total() - len(handed)


@cache
def _read(file: Path) -> tuple[str, str, str]:
    """Recipient, kind and Message-ID; a file of the sink never changes."""
    with file.open("rb") as source:
        head: Any = BytesHeaderParser().parse(source)
    subject = str(make_header(decode_header(head["Subject"].replace("\r\n", ""))))
    return head["Delivered-To"], _kinds().get(subject, subject), head["Message-ID"]


@cache
def _kinds() -> dict[str, str]:
    """Subject -> kind, in every language."""
    return {
        texts.subject(kind, language): kind for kind in CHANNELS for language in get_args(Language)
    }
