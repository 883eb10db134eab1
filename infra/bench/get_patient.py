"""GET one patient over HTTP, against a function that does nothing."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from infra.bench.harness import Checks, Figure, Target, interleave
from infra.bench.load import Exchange, Load, drive, request
from infra.bench.place import Place
from infra.bench.volume import Known, insert_known

__all__ = ["run"]

_PATIENTS = 1_000
_SECONDS = 1.5
_ROUNDS = 7


def run(place: Place) -> list[Figure]:
    """Both behind two workers with eight threads, sixteen connections, in turn."""
    patients = insert_known(_PATIENTS)
    token = place.token("00000000-0000-4000-8000-0000000000d0", "DENTIST")
    ours, hello = place.serve("patient", ["patient"]), place.serve("hello")
    checks = Checks()

    def get_patient(number: int) -> float:
        return _counted(drive(ours, _patients(patients, token, number), seconds=_SECONDS), checks)

    def get_hello(_number: int) -> float:
        wanted = Exchange(request("GET", "/"), b"200", b"Hello, World!")
        return _counted(drive(hello, itertools.repeat(wanted), seconds=_SECONDS), checks)

    a, b = interleave(get_patient, get_hello, rounds=_ROUNDS)
    place.end("patient", "hello")
    return [
        Figure(
            "GET one patient over HTTP: authorised (token, roles, revocations), eight fields"
            " decrypted, audited, logged",
            "functions-framework hello world, the same two workers of eight threads",
            "answers/s",
            a,
            b,
            Target("ratio", "at least", 0.50),
            checks,
            ["Audited: the statement that reads the row also writes who read it."],
        )
    ]


def _patients(patients: list[Known], token: str, seed: int) -> Iterator[Exchange]:
    """Random patients; a right answer holds the patient's own decrypted text."""
    chance = random.Random(seed)  # nosec B311
    made = [
        Exchange(
            request("GET", f"/api/patients/{known.patient_id}", token=token),
            b"200",
            known.secret.encode(),
        )
        for known in patients
    ]
    while True:
        yield chance.choice(made)


def _counted(load: Load, checks: Checks) -> float:
    checks.operations += load.right + load.wrong
    checks.missed += load.wrong
    return load.per_second
