"""The two sides of the booking benchmark take the same slots, and send the same statements."""

from __future__ import annotations

import re
from datetime import date

import pytest

from infra.bench import timetable
from infra.bench.pgbench import Caught, script, until_commit
from infra.bench.timetable import PGBENCH, SLOTS, identity, julian, number_of, slot

FIRST = date(2027, 4, 4)  # J2461500


def computed(i: int) -> dict[str, int]:
    """What pgbench's variables are: its integers are divided as Python's, where none is negative,
    and its words are read as Python's here."""
    found = {"i": i, "first": julian(FIRST)}
    for name, expression in re.findall(r"\\set (\w+) (.+)", PGBENCH):
        python = re.sub(r":(\w+)", lambda match: str(found[match[1]]), expression)
        found[name] = eval(python.replace(" / ", " // "))
    return found


@pytest.mark.parametrize("i", [0, 1, 7, 12_345, 299_999, SLOTS - 1])
def test_pgbench_computes_the_same_slot(i: int) -> None:
    """The day, the time, the practitioner, the clinic and the patient of a number are the same in
    the script as in Python."""
    found, expected = computed(i), slot(number_of(i), FIRST)
    assert identity(1, found["where"]) == expected.clinic_id
    assert identity(3, found["where"]) == expected.type_id
    assert identity(2, found["who"]) == expected.practitioner_id
    assert identity(4, found["whom"]) == expected.patient_id
    assert julian(expected.starts_at.date()) == found["day"]
    ends = expected.starts_at + timetable.HALF
    assert f"{expected.starts_at:%H%M}" == str(found["hhmm"])
    assert f"{ends:%H%M}" == str(found["after"])


def test_julian_days_are_postgresqls() -> None:
    """A known day has the number that PostgreSQL gives it."""
    assert 2_461_500 == julian(FIRST)


def test_no_slot_comes_twice() -> None:
    """The order jumps about, and is over only when each has had its turn."""
    found = {number_of(i) for i in range(SLOTS)}
    assert SLOTS == len(found)
    assert abs(number_of(1) - number_of(0)) > 1_000


def test_nobody_is_in_two_places() -> None:
    """At one time, no two slots are of one practitioner or one patient."""
    for start in range(0, 3 * timetable.PRACTITIONERS, timetable.PRACTITIONERS):
        together = [slot(start + n, FIRST) for n in range(timetable.PRACTITIONERS)]
        assert 1 == len({one.starts_at for one in together})
        assert len(together) == len({one.practitioner_id for one in together})
        assert len(together) == len({one.patient_id for one in together})


def test_a_script_sends_what_was_caught() -> None:
    """What travelled together is one command, literals are quoted, and variables stand in for
    what differs; what comes after the commit is left out."""
    caught = Caught(
        [
            [("begin; savepoint s", []), ("select $1, $2, $1", ["it's", None])],
            [("insert into t values ($1)", ["a 7 b"]), ("COMMIT", [])],
            [("select 3", [])],
        ]
    )
    assert (
        "begin \\;\nsavepoint s \\;\nselect 'it''s', null, 'it''s';\n"
        "insert into t values ('a :n b') \\;\nCOMMIT;\n"
    ) == script(until_commit(caught), {"7": ":n"})


def test_what_never_commits_is_refused() -> None:
    """A request that was refused cannot be repeated as a script."""
    with pytest.raises(ValueError, match="nothing was committed"):
        until_commit(Caught([[("select 1", [])]]))
