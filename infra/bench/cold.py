"""From the start of a process to a function's first answer, against a hello world."""

from __future__ import annotations

from collections.abc import Callable

from infra.bench.fresh import CLOUD_READ, CLOUD_WRITE, Fresh
from infra.bench.harness import Figure, Target, interleave
from infra.bench.place import Place

__all__ = ["run"]

_ROUNDS = 7


def run(place: Place) -> list[Figure]:
    """The first answer is to an authorised request, so what is imported lazily counts."""
    fresh = Fresh(place)

    def seconds(side: Callable[[], tuple[float, float]]) -> Callable[[int], float]:
        return lambda _number: side()[0]

    hello, *ours = interleave(
        seconds(fresh.hello),
        seconds(fresh.patient),
        seconds(fresh.auth),
        seconds(lambda: fresh.patient(CLOUD_READ)),
        seconds(lambda: fresh.patient(CLOUD_WRITE)),
        seconds(lambda: fresh.hello(CLOUD_READ)),
        seconds(lambda: fresh.hello(CLOUD_WRITE)),
        rounds=_ROUNDS,
    )
    what = [
        "patient: process start to the first authorised, decrypted GET",
        "auth: process start to the first authorised GET",
        "patient, with the Cloud SQL connector that such a GET imports in the cloud",
        "patient, with Pub/Sub's client as well, which the first write imports",
        "hello world itself with the Cloud SQL connector",
        "hello world itself with the connector and Pub/Sub's client",
    ]
    unit, least = "s", Target("ratio", "at most", 3.3)
    # What Google's clients cost by themselves, under whatever function: no target of ours.
    targets = [least] * 4 + [None] * 2
    return [
        Figure(name, "hello world", unit, values, hello, target, fresh.checks)
        for name, values, target in zip(what, ours, targets, strict=True)
    ]
