"""The embedded bus's publishing side: messages become rows of the bus database.

One statement fans a batch out to every matching subscription, so a batch is published whole or
not at all, and its commit is what makes it durable. ``infra.local.dispatcher`` delivers the rows.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress

from shared import bus_filter
from shared.bus import BusUnavailable, Publishable, Subscription
from shared.db import Database, Tx
from shared.errors import Unavailable

__all__ = ["EmbeddedBus", "configure", "drop"]

# The identity of the rows follows the messages' order: defaults are computed above the sort.
_PUBLISH = """
with message as materialized (
  select nextval('message_id') as id, m.*
    from json_to_recordset(:messages::json) as m (n int, key text, data text, attributes jsonb)),
delivered as (
  insert into delivery (subscription, key, message_id, data, attributes)
  select s.id, m.key, m.id, m.data, m.attributes
    from message m join subscription s on s.topic = :topic
   where s.filter is null or m.attributes @@ s.filter
   order by m.n
  returning 1)
select exists (select from topic where name = :topic) as known
"""
# The same for one message, as most publishes have: it is planned in less time.
_PUBLISH_ONE = """
with delivered as (
  insert into delivery (subscription, key, message_id, data, attributes)
  select s.id, :key, (select nextval('message_id')), :data, :attributes::jsonb
    from subscription s
   where s.topic = :topic and (s.filter is null or :attributes::jsonb @@ s.filter))
select exists (select from topic where name = :topic) as known
"""
_SUBSCRIBE = """
insert into subscription (name, topic, filter) values (:name, :topic, :filter::jsonpath)
on conflict (name) do update set topic = excluded.topic, filter = excluded.filter
 where (subscription.topic, subscription.filter::text)
    is distinct from (excluded.topic, excluded.filter::text)
"""


class EmbeddedBus:
    """Publishes into the bus database at ``url``; safe to share between threads."""

    def __init__(self, url: str, *, poke_socket: str | None = None) -> None:
        self._database = Database(url)
        self._poke_socket = poke_socket
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def publish(self, topic: str, messages: Sequence[Publishable]) -> None:
        """See ``shared.bus.Publisher``; all of ``messages`` become durable, or none."""
        if not messages:
            return
        rows = [
            {
                "key": message.ordering_key or None,
                "data": base64.b64encode(message.to_json().encode()).decode(),
                "attributes": message.attributes(),
            }
            for message in messages
        ]
        try:
            if len(rows) == 1:
                row = {**rows[0], "attributes": json.dumps(rows[0]["attributes"])}
                done = self._database.one(_PUBLISH_ONE, **row, topic=topic)
            else:
                numbered = json.dumps([{"n": n, **row} for n, row in enumerate(rows)])
                done = self._database.one(_PUBLISH, messages=numbered, topic=topic)
        except Unavailable as away:
            raise BusUnavailable("the bus database is away") from away
        if done is None or not done["known"]:
            raise BusUnavailable(f"the bus has no topic {topic}")
        self._poke()

    def _poke(self) -> None:
        # Only a hint: a dispatcher that is away or busy looks by itself.
        if self._poke_socket:
            with suppress(OSError):
                self._socket.sendto(b"!", self._poke_socket)


def configure(
    database: Database, subscriptions: Sequence[Subscription], topics: Iterable[str] = ()
) -> dict[str, int]:
    """Make the topics and subscriptions exist as given; returns each subscription's row id.

    Idempotent. Subscriptions not named here stay and go on collecting messages: see ``drop``.
    A changed filter holds for messages published from now on. ``topics`` adds those nobody
    subscribes to. Raises ValueError for a bad filter and for a dead-letter topic without a
    subscription, whose messages would vanish.
    """
    sources = {s.topic for s in subscriptions}
    if lost := {s.dead_letter_topic for s in subscriptions if s.dead_letter_topic} - sources:
        raise ValueError(f"dead-letter topics without a subscription: {', '.join(sorted(lost))}")
    filters = {s.name: bus_filter.parse(s.filter).jsonpath for s in subscriptions if s.filter}

    def work(tx: Tx) -> dict[str, int]:
        tx.run(
            "insert into topic (name) select unnest(:names::text[]) on conflict do nothing",
            names=sorted(sources | set(topics)),
        )
        for s in subscriptions:
            tx.run(_SUBSCRIBE, name=s.name, topic=s.topic, filter=filters.get(s.name))
        names = [s.name for s in subscriptions]
        found = tx.all("select id, name from subscription where name = any(:names)", names=names)
        return {row["name"]: row["id"] for row in found}

    return database.transaction(work, isolation="READ COMMITTED")


def drop(database: Database, name: str) -> None:
    """Remove the subscription ``name`` and every message that waits in it."""
    database.all(
        "with gone as (delete from subscription where name = :name returning id) "
        "delete from delivery using gone where delivery.subscription = gone.id",
        name=name,
    )
