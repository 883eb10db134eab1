"""The year that is over, people by people and service by service, by several processes at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from datetime import date
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar
from uuid import UUID

from functions.dental_records.store.projection import PROJECTOR
from infra.seed import appointments, charts, news, pictures, plans
from infra.seed.bulk import Batch, Patient, fill
from infra.seed.desk import Desk

__all__ = ["Past"]

R = TypeVar("R")

_PORTION = 50  # people in one transaction of a service
_WORK: tuple[tuple[str, Callable[[Batch, Sequence[Patient]], None]], ...] = (
    ("appointment", appointments.collect),
    ("dental_records", charts.collect),
    ("xray", pictures.collect),
    ("treatment", plans.collect),
    ("notification", news.collect),
)
Portion = Sequence[tuple[int, UUID]]


class Past:
    """The past of these people, in the databases that this process's environment describes."""

    def __init__(self, desks: Sequence[Desk], day: date, people: Mapping[int, UUID]) -> None:
        """``day`` ends the year; ``people``: number -> patient's id."""
        self._desks, self._day = desks, day
        self._people = sorted(people.items())

    def fill(self) -> Iterator[int]:
        """Add what is missing; gives how many people were done, again and again."""
        for portion, _ in self.each(_fill):
            yield len(portion)

    def project(self) -> None:
        """Bring the read models up to date with the facts."""
        while PROJECTOR.lag(PROJECTOR.db()):
            PROJECTOR.run(budget_s=60)

    def each(self, work: Callable[[list[Patient]], R]) -> Iterator[tuple[Portion, R]]:
        """``work`` for all people, some at a time, with its answer."""
        portions = [
            self._people[at : at + _PORTION] for at in range(0, len(self._people), _PORTION)
        ]
        if len(portions) == 1:
            yield portions[0], _run(work, portions[0], self._desks, self._day)
            return
        processes = min(len(portions), 4, os.cpu_count() or 1)
        # Not by fork: a connection must not be in two processes.
        with ProcessPoolExecutor(processes, get_context("spawn"), _end_with_parent) as pool:
            waiting: dict[Future[R], Portion] = {
                pool.submit(_run, work, portion, self._desks, self._day): portion
                for portion in portions
            }
            try:
                for done in as_completed(waiting):
                    yield waiting[done], done.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _end_with_parent() -> None:
    """Whoever kills the tool does not want its processes to go on, or to wait for ever."""
    parent = parent_process()
    if parent is None:
        raise AssertionError("only a process of the pool calls this")

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(
    work: Callable[[list[Patient]], R], portion: Portion, desks: Sequence[Desk], day: date
) -> R:
    return work([Patient.of(number, person, desks, day) for number, person in portion])


def _fill(people: list[Patient]) -> None:
    for service, collect in _WORK:
        fill(service, people, collect)
