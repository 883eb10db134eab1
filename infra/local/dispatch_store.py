"""The dispatcher's SQL: take rows, continue a lane, settle what was pushed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.local.dispatch_queue import Delivery, LaneName
from shared.bus import Subscription, dead_letter_attributes
from shared.db import Database, Row, Tx
from shared.wire import Statement

__all__ = ["DispatchStore", "Settlement"]

# Nothing here need survive a crash of PostgreSQL itself: a lost delete or count means one more
# delivery. So these commits do not wait for the disk (the messages' own do).
_TAKE = """
with batch as (
  select d.id
    from unnest(:subscriptions::int[], :rooms::int[]) as s (id, room)
   cross join (select set_config('synchronous_commit', 'off', true)) as fast
   cross join lateral (
     select id from delivery where subscription = s.id and not taken order by id limit s.room) d)
update delivery set taken = true from batch where delivery.id = batch.id
returning delivery.id, subscription, key, message_id, data, attributes, published_at, attempts
"""
_REST_OF_LANE = """
select id, subscription, key, message_id, data, attributes, published_at, attempts
  from delivery where subscription = :subscription and key = :key and id > :after
 order by id limit :count
"""
_RELEASE = """
update delivery set taken = false
 where taken and subscription = any(:subscriptions) and not id = any(:known)
"""
_DELETE = """
delete from delivery using (select set_config('synchronous_commit', 'off', true)) as fast
 where id = any(:ids)
"""
_COUNT = """
update delivery set attempts = c.attempts
  from unnest(:ids::bigint[], :attempts::int[]) as c (id, attempts),
       (select set_config('synchronous_commit', 'off', true)) as fast
 where delivery.id = c.id
"""
_DEAD_LETTER = """
with gone as (delete from delivery where id = :id returning key, data, attributes),
message as materialized (
  select nextval('message_id') as id, key, data, attributes || :extra::jsonb as attributes
    from gone)
insert into delivery (subscription, key, message_id, data, attributes)
select s.id, m.key, m.id, m.data, m.attributes
  from message m join subscription s on s.topic = :topic
 where s.filter is null or m.attributes @@ s.filter
"""


@dataclass
class Settlement:
    """What a run of pushes changes in the database."""

    deleted: list[int] = field(default_factory=list)
    counted: dict[int, int] = field(default_factory=dict)
    """Row id -> attempts."""
    dead: list[Delivery] = field(default_factory=list)

    def gone(self) -> list[int]:
        """The rows that exist no more once this is settled."""
        return [*self.deleted, *(delivery.id for delivery in self.dead)]


class DispatchStore:
    """The deliveries of ``subscriptions`` in the bus database. Raises Unavailable when it is away.

    ``ids`` maps a subscription's name to its row id.
    """

    def __init__(
        self, database: Database, subscriptions: Sequence[Subscription], ids: Mapping[str, int]
    ) -> None:
        self._database = database
        self._ids = {s.name: ids[s.name] for s in subscriptions}
        self._subscriptions = {ids[s.name]: s for s in subscriptions}

    def take(self, rooms: Mapping[str, int]) -> list[Delivery]:
        """Take up to ``rooms`` waiting rows per subscription, oldest first."""
        numbers = [self._ids[name] for name in rooms]
        take = Statement(_TAKE, {"subscriptions": numbers, "rooms": list(rooms.values())})
        # Not silently repeated on a new connection: the first may have taken rows.
        rows = self._database.pipeline(take)[0].rows
        return sorted(map(self._delivery, rows), key=lambda delivery: delivery.id)

    def rest(self, lane: LaneName, after: int, count: int) -> list[Delivery]:
        """The next ``count`` rows of ``lane`` with an id above ``after``, taken or not."""
        name, key = lane
        rows = self._database.all(
            _REST_OF_LANE, subscription=self._ids[name], key=key, after=after, count=count
        )
        return [self._delivery(row) for row in rows]

    def release(self, known: Sequence[int]) -> None:
        """Give back every taken row but the ``known``: nobody else holds them any more."""
        self._database.transaction(
            lambda tx: tx.run(_RELEASE, subscriptions=list(self._ids.values()), known=list(known)),
            isolation="READ COMMITTED",
        )

    def settle(self, settlement: Settlement) -> None:
        """Make ``settlement`` durable, all of it or nothing."""
        gone = set(settlement.gone())
        counted = {id: n for id, n in settlement.counted.items() if id not in gone}

        def work(tx: Tx) -> None:
            if counted:
                tx.run(_COUNT, ids=list(counted), attempts=list(counted.values()))
            for delivery in settlement.dead:
                self._bury(tx, delivery)
            if settlement.deleted:
                tx.run(_DELETE, ids=settlement.deleted)

        if counted or settlement.dead:
            self._database.transaction(work, isolation="READ COMMITTED")
        elif settlement.deleted:
            # The common case in one round trip.
            self._database.all(_DELETE, ids=settlement.deleted)

    def _bury(self, tx: Tx, delivery: Delivery) -> None:
        subscription = delivery.subscription
        extra = dead_letter_attributes(subscription, delivery.attempts, delivery.published_at)
        tx.run(_DEAD_LETTER, id=delivery.id, extra=extra, topic=subscription.dead_letter_topic)

    def _delivery(self, row: Row) -> Delivery:
        return Delivery(
            id=row["id"],
            subscription=self._subscriptions[row["subscription"]],
            key=row["key"],
            message_id=str(row["message_id"]),
            data=row["data"],
            attributes=row["attributes"],
            published_at=row["published_at"],
            attempts=row["attempts"],
        )
