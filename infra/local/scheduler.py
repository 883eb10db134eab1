"""Calls the services' jobs on time, as Cloud Scheduler does: ``POST .../jobs/<job>``.

A job never overlaps itself: its next turn is set when it has answered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.dispatch_queue import Outcome
from infra.local.push import Pusher, Signer
from shared import log

if TYPE_CHECKING:
    from shared.runtime import Service

__all__ = ["Schedule", "Scheduler", "schedules"]

_DEADLINE = 60.0  # seconds a job may take
# A failure is told when it is more than a passing one, then ever more rarely.
_TELL_AT = frozenset({5, 50, 500, 5000})


@dataclass
class Schedule:
    """One job of one service."""

    service: str
    job: str
    every: float  # seconds
    due: float = 0.0  # monotonic seconds
    running: bool = False
    failures: int = 0


def schedules(services: Sequence[Service]) -> list[Schedule]:
    """Every job that the services declare."""
    return [
        Schedule(service.name, job.name, job.every.total_seconds())
        for service in services
        for job in service.jobs.values()
    ]


class Scheduler:
    """Runs ``jobs`` between ``start`` and ``stop``."""

    def __init__(self, jobs: Sequence[Schedule], url: str, signer: Signer) -> None:
        """``url`` is the platform's; ``signer`` proves to a service who calls."""
        self._jobs = jobs
        self._url = url
        self._pusher = Pusher(signer)
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="job")
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)

    def start(self) -> None:
        """Begin, without blocking; the first turns are spread over the first second."""
        now = time.monotonic()
        for place, job in enumerate(self._jobs):
            job.due = now + place / len(self._jobs)
        self._thread.start()

    def stop(self) -> None:
        """Begin no further job and wait for those that run."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        self._pusher.close()

    def _loop(self) -> None:
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                waiting = [job for job in self._jobs if not job.running]
                for job in waiting:
                    if job.due <= now:
                        job.running = True
                        self._pool.submit(self._call, job)
                rest = [job.due - now for job in waiting if not job.running]
                self._changed.wait(min(rest, default=None))

    def _call(self, job: Schedule) -> None:
        url = f"{self._url}/_events/{job.service}/jobs/{job.job}"
        try:
            outcome, reason = self._pusher.post(url, b"", job.service, _DEADLINE)
        except Exception as fault:  # noqa: BLE001 -- one job must not end the schedule
            outcome, reason = Outcome.FAILED, type(fault).__name__
        if outcome is Outcome.ACKNOWLEDGED:
            job.failures = 0
        else:
            job.failures += 1
            if job.failures in _TELL_AT:
                log.warning(
                    "job_failing",
                    service=job.service,
                    job=job.job,
                    failures=job.failures,
                    reason=reason,
                )
        with self._changed:
            job.running = False
            job.due = max(job.due + job.every, time.monotonic())
            self._changed.notify_all()
