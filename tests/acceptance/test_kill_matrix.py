"""What people did once happened once, whichever process dies or stands still at which point.

One platform with two instances of each target; the cells follow each other on it, each with people
of its own. The judging is judged, too: what is planted in the books is found.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from infra.chaos.books import Verdict, effects, judged, remains
from infra.chaos.ledgers import ledgers_of
from infra.chaos.matrix import Cell, Matrix, cells, platform
from infra.chaos.people import at_once, somebody
from infra.chaos.rounds import random_round
from infra.chaos.scenarios import register
from shared.db import Tx

SEED = 20260115
_SETTLED = 180.0  # seconds; the machine may be slow and busy


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """A platform to break; every test leaves it running."""
    with (
        tempfile.TemporaryDirectory(prefix="dh-", ignore_cleanup_errors=True) as directory,
        platform(Path(directory)) as stack,
    ):
        running = Matrix(stack, seed=SEED, hurry=True)
        yield running
        running.close()


def _name(cell: Cell) -> str:
    return f"{cell.scenario}-{cell.point}-{cell.process}-{cell.action}"


def test_a_message_whose_handler_is_killed_takes_effect_once(matrix: Matrix) -> None:
    """One cell on every change: killed in the transaction of a message's effect."""
    result = matrix.run(Cell("registration", "inbox.handled", "patient.events", "kill"))
    assert ([], True) == (result.anomalies, result.hit)


def test_what_is_planted_is_found(matrix: Matrix) -> None:
    """A lost profile, a doubled notification, remains of somebody erased, and a dead letter are
    found in books that were right before."""
    patient = somebody("planted", 1)
    assert [] == at_once(matrix.stack, [patient], register)[1]
    books, who = matrix.ledgers, UUID(patient.patient_id)
    books.settle(_SETTLED)
    read = effects(books, matrix.stack.directory, [patient])
    assert Verdict() == judged([patient], *read)
    assert [] == books.faults()

    def double(tx: Tx) -> None:
        tx.run(
            "insert into notifications (id, person_id, event_id, kind)"
            " values (gen_random_uuid(), :who, gen_random_uuid(), 'WELCOME')",
            who=who,
        )
        tx.run(
            "insert into dead_letters (id, reason, attempts, event_type)"
            " values ('planted', 'planted', 1, 'PLANTED')"
        )

    books.transaction("notification", double)
    books.transaction("patient", lambda tx: _lose(tx, who))
    verdict = judged([patient], *effects(books, matrix.stack.directory, [patient]))
    assert (1, 1) == (verdict.lost, verdict.doubled)
    found = " ".join(books.faults())
    for fault in (
        "a registration without its profile",
        "keys of nobody in patient: 1",
        "a live view that is wrong",
        "a dead letter in notification",
    ):
        assert fault in found
    patient.erased = True
    assert 3 == len(remains(books, [patient]))
    books.transaction("notification", lambda tx: _mend(tx, who))
    books.transaction("patient", lambda tx: _forget(tx, who))
    books.transaction("auth", lambda tx: _forget_account(tx, who))
    assert [] == books.faults()


def test_a_history_that_tells_something_else_is_found(matrix: Matrix) -> None:
    """A profile that was changed without a fact, and an account's entry that no fact makes so."""
    patient = somebody("history", 1)
    assert [] == at_once(matrix.stack, [patient], register)[1]
    books, who = matrix.ledgers, UUID(patient.patient_id)
    books.settle(_SETTLED)
    assert [] == matrix.histories.differences([patient])

    def plant(name: str, status: str) -> None:
        renamed = "update patients set first_name = :name where patient_id = :who returning 1"
        shown = "update account_history_a set status = :status where person_id = :who"
        books.all("patient", renamed, name=name, who=who)
        books.all("auth", f"{shown} and version = 2 returning 1", status=status, who=who)

    plant("Maria", "INVITED")
    found = matrix.histories.differences([patient])
    plant("Ștefania", "ACTIVE")
    assert [
        "person 1: the patient's history tells something else",
        "person 1: the account's history tells something else",
    ] == found[:2]
    assert ["the read model account_history: Difference"] == [each[:42] for each in found[2:]]
    assert [] == matrix.histories.differences([patient])


def test_a_read_model_that_is_behind_is_waited_for(matrix: Matrix) -> None:
    """While somebody holds its place, what a registration changed is under way."""
    patient = somebody("behind", 1)
    books, other = matrix.ledgers, ledgers_of(matrix.stack)

    def hold(tx: Tx) -> None:
        tx.all("select from projections where live for update")
        assert [] == at_once(matrix.stack, [patient], register)[1]
        assert "account_history" == books.under_way()["auth read models"]

    other.transaction("auth", hold)
    other.close()
    books.settle(_SETTLED)
    assert [] == matrix.histories.differences([patient])


def _lose(tx: Tx, who: UUID) -> None:
    tx.run("delete from patients where patient_id = :who", who=who)


def _mend(tx: Tx, who: UUID) -> None:
    """Leave no trace of what was planted."""
    tx.run("delete from dead_letters where id = 'planted'")
    tx.run("delete from notifications where person_id = :who", who=who)
    tx.run("delete from inboxes where person_id = :who", who=who)


def _forget(tx: Tx, who: UUID) -> None:
    tx.run("delete from subject_keys where subject = :who", who=who)


def _forget_account(tx: Tx, who: UUID) -> None:
    tx.run("delete from sagas where subject = :who", who=who)
    tx.run("delete from users where id = :who", who=who)
    tx.run("delete from account_history_a where person_id = :who", who=who)
    tx.run("delete from events where person_id = :who", who=who)
    _forget(tx, who)


@pytest.mark.long
@pytest.mark.parametrize("cell", list(cells()), ids=_name)
def test_every_cell(matrix: Matrix, cell: Cell) -> None:
    """Nothing is lost, doubled, half-written or left behind by this fault in this scenario."""
    result = matrix.run(cell)
    assert [] == result.anomalies, result.seed


@pytest.mark.long
@pytest.mark.parametrize("number", range(3))
def test_random_rounds(matrix: Matrix, number: int) -> None:
    """Nor by any processes that die or stand still at random, PostgreSQL among them."""
    result = random_round(matrix, SEED, number)
    assert [] == result.anomalies, result.seed
