"""Booking an appointment over HTTP, against pgbench sending PostgreSQL the same statements.

Both sides take slots of one timetable at random, in the same tables beside the same past.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from datetime import datetime, timedelta

from pg8000.converters import PY_TYPES, make_param

from infra.bench import group, pgbench
from infra.bench.harness import Checks, Figure, Target, interleave, percentile
from infra.bench.load import Exchange, drive, request
from infra.bench.place import Place
from infra.bench.timetable import (
    FIRST,
    HALF,
    PGBENCH,
    Slot,
    first_day,
    identity,
    julian,
    number_of,
    slot,
)
from infra.local.hosting import host
from shared.bus import Subscription
from shared.bus_embedded import configure

__all__ = ["run"]

_CLIENTS = 8
_ORDERS = 400  # per round, over HTTP
_TRANSACTIONS = 250  # per round, by each client of pgbench
_AGAIN = 50  # orders sent once more at the end
_PATH = "/api/appointments"
_DESK = "00000000-0000-4000-8000-0000000000d2"
_MADE = "019b0000-0000-7000-8000-000000"
_SCRIPT = f"""\
\\set j :j + {_CLIENTS}
\\set i :j + :client_id
{PGBENCH}\
\\set key {FIRST} + :n
"""

# A slot that was answered with 201: its rows, and what was published about it.
_WANTED = """
with wanted as materialized (
  select * from json_to_recordset(:wanted::json)
    as w(practitioner uuid, patient uuid, starts timestamptz)),
found as (
  select w.practitioner, w.starts, a.appointment_id,
         (select count(*) from slots_taken s
           where s.slot_id = a.appointment_id and s.chair_id is not null
             and (s.starts_at, s.ends_at) = (a.starts_at, a.ends_at)) as slots,
         (select count(*) from audit_log l
           where l.person_id = w.patient and l.action = 'create') as noted
    from wanted w
    left join appointments a on a.practitioner_id = w.practitioner and a.starts_at = w.starts
     and a.patient_id = w.patient and a.status = 'CONFIRMED')
select appointment_id, slots, noted from found
"""
_OVERLAPS = """
select count(*) as n from (
  select starts_at < max(ends_at) over (
           partition by {whose} order by starts_at
           rows between unbounded preceding and 1 preceding) as twice
    from slots_taken where {whose} is not null) as s
 where twice
"""
_PUBLISHED = """
select key, attributes ->> 'event_type' as kind, count(*) as n from delivery group by 1, 2
"""


def run(place: Place) -> list[Figure]:
    """Two workers with eight threads and eight clients, against eight clients of pgbench."""
    found = _Booking(place)
    try:
        ours, theirs = interleave(found.book, found.repeat)
        found.verify()
    finally:
        found.close()
    return [
        Figure(
            "booking over HTTP: authorised, under constraints for practitioner, patient and chair,"
            " with outbox, idempotency key and audit",
            "pgbench, 8 clients: the same statements up to COMMIT in the same flushes",
            "bookings/s",
            ours,
            theirs,
            Target("ratio", "at least", 0.25),
            found.checks,
            [
                f"Answered within {percentile(found.times, 0.5) * 1000:.1f} ms at p50 and"
                f" {percentile(found.times, 0.99) * 1000:.1f} ms at p99 with {_CLIENTS} clients.",
                "Ours also publish two messages on the bus and take them out of the outbox, within"
                " the request; theirs leave them there.",
                f"All slots were looked at for overlaps, and {_AGAIN} orders sent a second time.",
            ],
        )
    ]


class _Booking:
    def __init__(self, place: Place) -> None:
        self.place, self.first = place, first_day()
        self.db, self.bus = place.admin("appointment_db"), place.admin("bus_db")
        group.fill(self.db, self.first)
        sink = Subscription("booking", "appointment", "booking", "http://nowhere")
        configure(self.bus, [sink], ["appointment"])
        self.token = place.token(_DESK, "RECEPTIONIST")
        self.checks, self.times = Checks(), [0.0] * 0
        self._i = 0
        self._sent: list[tuple[Slot, Exchange]] = []
        self._script = place.directory / "booking.sql"
        self._script.write_text(self._write_script(), "utf-8")
        self._port = place.serve("appointment", ["appointment"])

    def book(self, round_: int) -> float:
        """Answers per second."""
        orders = [self._order() for _ in range(_ORDERS)]
        load = drive(self._port, (sent for _, sent in orders), connections=_CLIENTS)
        self._sent += orders
        self.checks.operations += load.right + load.wrong
        self.checks.missed += load.wrong
        if round_:
            self.times += load.times
        return load.per_second

    def repeat(self, _round: int) -> float:
        """Bookings per second of pgbench; one that found its chair taken meanwhile is none."""
        count = _CLIENTS * _TRANSACTIONS
        began, self._i = self._i, self._i + count
        rate = pgbench.run(
            self.place.cluster.bin,
            self.place.database_url("appointment"),
            self._script,
            clients=_CLIENTS,
            transactions=_TRANSACTIONS,
            defined={"j": began - _CLIENTS, "first": julian(self.first)},
        )
        # Nobody is to publish what they left.
        self.db.all("truncate outbox")
        row = self.db.one(
            "select count(*) as n from appointments where appointment_id >= :low::uuid"
            " and appointment_id < :high::uuid",
            low=f"{_MADE}{FIRST + began}",
            high=f"{_MADE}{FIRST + began + count}",
        )
        return rate * int(row["n"] if row else 0) / count

    def verify(self) -> None:
        """Every 201 has its rows and its messages, once; nobody's time was given twice."""
        again = drive(self._port, (sent for _, sent in self._sent[-_AGAIN:]), connections=1)
        self.checks.operations += again.right + again.wrong
        self.checks.missed += again.wrong
        for whose in ("practitioner_id", "patient_id", "chair_id"):
            row = self.db.one(_OVERLAPS.format(whose=whose))
            self.checks.overlapping += int(row["n"] if row else 0)
        wanted = [
            {
                "practitioner": str(one.practitioner_id),
                "patient": str(one.patient_id),
                "starts": one.starts_at.isoformat(),
            }
            for one, _ in self._sent
        ]
        rows = self.db.all(_WANTED, wanted=json.dumps(wanted))
        self.checks.duplicated += len(rows) - len(wanted)
        published = {(row["key"], row["kind"]): row["n"] for row in self.bus.all(_PUBLISHED)}
        for row in rows:
            key = str(row["appointment_id"])
            told = [published.get((key, f"APPOINTMENT_{kind}"), 0) for kind in _TOLD]
            self.checks.missed += row["slots"] != 1 or not row["noted"] or 0 in told
            self.checks.duplicated += sum(max(0, n - 1) for n in told)

    def close(self) -> None:
        """End what was started."""
        self.place.end("appointment")
        self.db.close()
        self.bus.close()

    def _order(self) -> tuple[Slot, Exchange]:
        self._i += 1
        wanted = slot(number_of(self._i - 1), self.first)
        body = _body(wanted)
        key = {"Idempotency-Key": f"order-{self._i}"}
        sent = request("POST", _PATH, token=self.token, body=body, headers=key)
        return wanted, Exchange(sent, b"201", str(wanted.patient_id).encode())

    def _write_script(self) -> str:
        """What one booking sends, with pgbench's variables in place of what differs."""
        client = host("appointment", "http").test_client()
        headers = {"Authorization": f"Bearer {self.token}"}
        # The first also reads what the process keeps: the keys of tokens, who was signed out.
        for name in ("first", "second"):
            self._i += 1
            wanted = slot(number_of(self._i - 1), self.first)
            headers["Idempotency-Key"] = name
            with redirect_stdout(sys.stderr), pgbench.caught() as caught:
                answer = client.post(
                    _PATH, data=_body(wanted), headers=headers, content_type="application/json"
                )
            if answer.status_code != 201:
                raise RuntimeError(f"a booking was answered with {answer.status_code}")
        flushes = pgbench.until_commit(caught)
        variables = _variables(wanted, answer.json["appointment_id"], flushes)
        return _SCRIPT + pgbench.script(flushes, variables)


_TOLD = ("BOOKED", "CONFIRMED")


def _variables(
    wanted: Slot, appointment_id: str, flushes: list[list[tuple[str, list[str | None]]]]
) -> dict[str, str]:
    """What stands in the script for the texts by which bookings differ."""
    (key,) = flushes[0][0][1]
    if key is None or not key.startswith("\\x"):
        raise RuntimeError("a booking does not begin by looking for its Idempotency-Key")
    lock = int.from_bytes(bytes.fromhex(key[2:18]), "big", signed=True)
    day, at = timedelta(days=1), wanted.starts_at
    return {
        key: key[:-6] + ":key",
        str(lock): ":key",
        appointment_id: f"{_MADE}:made",
        str(wanted.clinic_id): _named(1, "where"),
        str(wanted.type_id): _named(3, "where"),
        str(wanted.practitioner_id): _named(2, "who"),
        str(wanted.patient_id): _named(4, "whom"),
        _sent(at): "J:day :hhmm UTC",
        _sent(at + HALF): "J:day :after UTC",
        _sent(at - day): "J:yesterday :hhmm UTC",
        _sent(at + 2 * day): "J:overmorrow :hhmm UTC",
    }


def _named(kind: int, variable: str) -> str:
    return f"{str(identity(kind, FIRST))[:-6]}:{variable}"


def _sent(at: datetime) -> str:
    """``at`` as a parameter's text."""
    return str(make_param(PY_TYPES, at))


def _body(wanted: Slot) -> bytes:
    return json.dumps(
        {
            "patient_id": str(wanted.patient_id),
            "practitioner_id": str(wanted.practitioner_id),
            "type_id": str(wanted.type_id),
            "starts_at": wanted.starts_at.isoformat(),
        }
    ).encode()
