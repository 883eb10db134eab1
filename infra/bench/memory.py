"""The resident memory of a function that has answered, against a hello world."""

from __future__ import annotations

from collections.abc import Callable

from infra.bench.fresh import CLOUD_READ, CLOUD_WRITE, Fresh
from infra.bench.harness import Figure, Target, interleave
from infra.bench.place import Place

__all__ = ["run"]


def run(place: Place) -> list[Figure]:
    """After five authorised requests, so what is imported lazily counts."""
    fresh = Fresh(place)

    def megabytes(side: Callable[[], tuple[float, float]]) -> Callable[[int], float]:
        return lambda _number: side()[1]

    hello, *ours = interleave(
        megabytes(fresh.hello),
        megabytes(fresh.patient),
        megabytes(fresh.auth),
        megabytes(lambda: fresh.patient(CLOUD_READ)),
        megabytes(lambda: fresh.patient(CLOUD_WRITE)),
        megabytes(lambda: fresh.hello(CLOUD_READ)),
        megabytes(lambda: fresh.hello(CLOUD_WRITE)),
        warm_up=False,
    )
    what = [
        "patient: resident after five authorised, decrypted GETs",
        "auth: resident after five authorised GETs",
        "patient, with the Cloud SQL connector",
        "patient, with the connector and Pub/Sub's client",
        "hello world itself with the Cloud SQL connector",
        "hello world itself with the connector and Pub/Sub's client",
    ]
    unit, least = "MB", Target("ratio", "at most", 3.0)
    # What Google's clients cost by themselves, under whatever function: no target of ours.
    targets = [least] * 4 + [None] * 2
    return [
        Figure(name, "hello world", unit, values, hello, target, fresh.checks)
        for name, values, target in zip(what, ours, targets, strict=True)
    ]
