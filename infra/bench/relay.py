"""The outbox relay: how fast waiting messages are published and marked."""

from __future__ import annotations

import time
from collections.abc import Sequence

from infra.bench.harness import Checks, Figure, Target, interleave
from infra.bench.place import Place
from infra.bench.services import Ticked
from shared.bus import Publishable, Publisher, Subscription
from shared.bus_embedded import EmbeddedBus, configure
from shared.db import Database
from shared.messages import Envelope, envelope
from shared.outbox import Outbox
from shared.types import uuid7

__all__ = ["run"]

_MESSAGES = 20_000
_BATCH = 2_000  # the largest run the relay publishes at once, so also what the publisher gets
_TOPIC = "alpha"

# The envelopes differ in their keys and in an id whose end is the number.
_FILL = """
insert into outbox (topic, key, envelope, fence, lease_until)
select :topic, 'key-' || n % :keys,
       replace(replace(:text, :id, left(:id, 24) || lpad(n::text, 12, '0')),
               :key, 'key-' || n % :keys), 0, '-infinity'
  from generate_series(1, :count::int) as n order by n
"""


class _Null:
    """A publisher that is infinitely fast: it keeps what it was given, for the check."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Publishable]] = []

    def publish(self, topic: str, messages: Sequence[Publishable]) -> None:  # noqa: ARG002
        self.batches.append(messages)
        for message in messages:
            # What every real publisher asks for.
            message.to_json()
            message.attributes()


def run(place: Place) -> list[Figure]:
    """Many keys, then one hot key; each to the embedded bus and to a null publisher."""
    bus = Database(place.database_url("bus"))
    configure(bus, [Subscription("relay", _TOPIC, "relay", "http://nowhere")])
    bus.close()
    return [figure for keys in (1_000, 1) for figure in _Relay(place, keys).figures()]


class _Relay:
    def __init__(self, place: Place, keys: int) -> None:
        self.keys = keys
        self.url = place.database_url("alpha")
        self.db = Database(self.url)
        self.bus_url = place.database_url("bus")
        self.bus_db = place.admin("bus_db")
        sample = envelope(Ticked(thing=uuid7()), source=_TOPIC, key="KEY")
        self.text, self.id = sample.to_json(), str(sample.event_id)
        self.checks, self.null_checks = Checks(), Checks()

    def figures(self) -> list[Figure]:
        relayed, alone = interleave(self.to_bus, self.alone)
        (null,) = interleave(self.to_null)
        self.bus_db.close()
        self.db.close()
        which = "one hot key" if self.keys == 1 else f"{self.keys:,} keys"
        return [
            Figure(
                f"outbox relay, {which}: published on the embedded bus and marked",
                f"the publisher alone, batches of {_BATCH:,}",
                "messages/s",
                relayed,
                alone,
                Target("ratio", "at least", 0.5),
                self.checks,
            ),
            Figure(
                f"outbox relay, {which}: to a publisher that takes no time, and marked",
                "-",
                "messages/s",
                null,
                [],
                Target("value", "at least", 20_000),
                self.null_checks,
            ),
        ]

    def to_bus(self, _number: int) -> float:
        self._empty()
        self._fill()
        seconds = self._swept(EmbeddedBus(self.bus_url))
        self._check_bus()
        return _MESSAGES / seconds

    def alone(self, _number: int) -> float:
        self._empty()
        messages = [self._message(n) for n in range(1, _MESSAGES + 1)]
        publisher = EmbeddedBus(self.bus_url)
        began = time.perf_counter()
        for start in range(0, _MESSAGES, _BATCH):
            publisher.publish(_TOPIC, messages[start : start + _BATCH])
        seconds = time.perf_counter() - began
        self._check_bus()
        return _MESSAGES / seconds

    def to_null(self, _number: int) -> float:
        self._empty()
        self._fill()
        null = _Null()
        seconds = self._swept(null)
        sent = [(m.ordering_key or "", m.to_json()) for batch in null.batches for m in batch]
        found = [(key, int(Envelope.parse(text).event_id.hex[-12:])) for key, text in sent]
        self._count(found, self.null_checks)
        return _MESSAGES / seconds

    def _empty(self) -> None:
        for db, table in ((self.bus_db, "delivery"), (self.db, "outbox")):
            db.all(f"delete from {table}")  # nosec B608
        self.bus_db.all("vacuum delivery")

    def _fill(self) -> None:
        self.db.all(
            _FILL, topic=_TOPIC, keys=self.keys, text=self.text, id=self.id, key="KEY",
            count=_MESSAGES,
        )  # fmt: skip

    def _message(self, n: int) -> _Sent:
        key = f"key-{n % self.keys}"
        text = self.text.replace(self.id, f"{self.id[:24]}{n:012}").replace("KEY", key)
        return _Sent(key, text, self._attributes)

    @property
    def _attributes(self) -> dict[str, str]:
        return Envelope.parse(self.text).attributes()

    def _swept(self, publisher: Publisher) -> float:
        box = Outbox(_TOPIC, publisher)
        Database(self.url, outbox=box)
        began = time.perf_counter()
        sent = box.sweep(budget_s=60)
        seconds = time.perf_counter() - began
        if sent != _MESSAGES or box.backlog()["rows"]:
            self.checks.missed += 1
        return seconds

    def _check_bus(self) -> None:
        rows = self.bus_db.all(
            "select key, right(convert_from(decode(data, 'base64'), 'utf8')::json ->> 'event_id',"
            " 12)::int as n from delivery order by id"
        )
        self._count([(row["key"], row["n"]) for row in rows], self.checks)

    def _count(self, found: list[tuple[str, int]], checks: Checks) -> None:
        checks.operations += _MESSAGES
        numbers = [n for _, n in found]
        checks.missed += _MESSAGES - len(set(numbers))
        checks.duplicated += len(numbers) - len(set(numbers))
        last: dict[str, int] = {}
        for key, n in found:
            checks.overlapping += n < last.get(key, 0)
            last[key] = n


class _Sent:
    """A message as the relay hands it over, with nothing left to compute."""

    def __init__(self, key: str, text: str, attributes: dict[str, str]) -> None:
        self.ordering_key, self._text, self._attributes = key, text, attributes

    def to_json(self) -> str:
        return self._text

    def attributes(self) -> dict[str, str]:
        return self._attributes
