"""The outbox's statements; shared/outbox.py says when each runs and why."""

from __future__ import annotations

__all__ = ["CLAIM_KEYS", "CLAIM_NEXT", "INSERT", "MARK", "RELEASE"]

# A writer's rows, leased to it where nothing of the key waits. They are numbered in the order of
# the array: the identity is computed above the sort.
INSERT = """
with f as materialized (select nextval('outbox_fence') as fence)
insert into outbox (topic, key, envelope, fence, lease_until)
select m.topic, m.key, m.envelope, f.fence,
       case when exists (select from outbox o where o.topic = m.topic and o.key = m.key)
            then '-infinity'::timestamptz
            else clock_timestamp() + make_interval(secs => :lease) end
  from f, rows from (json_to_recordset(:rows::json) as (topic text, key text, envelope text))
          with ordinality as m(topic, key, envelope, n)
 order by m.n
returning id, fence, lease_until > '-infinity' as mine
"""

MARK = "delete from outbox where id = any(:ids::bigint[]) and fence = :fence"

# The run at the head of each of some keys, if nobody holds it.
CLAIM_KEYS = """
with f as materialized (select nextval('outbox_fence') as fence),
k as (select * from unnest(:topics::text[], :keys::text[]) as k(topic, key)),
h as materialized (
  select o.topic, o.key, o.id from k join outbox o on o.id =
         (select min(x.id) from outbox x where x.topic = k.topic and x.key = k.key)
   where o.lease_until < clock_timestamp() for update of o skip locked),
r as (
  select x.id from h cross join lateral (
    select o.id from outbox o where o.topic = h.topic and o.key = h.key and o.id >= h.id
     order by o.id limit :per_key) x)
update outbox o set fence = f.fence, attempts = attempts + 1,
       lease_until = clock_timestamp() + make_interval(secs => :lease)
  from r, f where o.id = r.id
returning o.id, o.topic, o.key, o.envelope, o.fence, o.attempts
"""

# The same for up to :n keys after (:topic, :key), found by a skip scan over the index.
CLAIM_NEXT = """
with recursive f as materialized (select nextval('outbox_fence') as fence),
k (topic, key, id, n) as (
  (select topic, key, id, 1 from outbox where (topic, key) > (:topic::text, :key::text)
    order by topic, key, id limit 1)
  union all
  select x.* from k cross join lateral (
    select o.topic, o.key, o.id, k.n + 1 from outbox o
     where (o.topic, o.key) > (k.topic, k.key) order by o.topic, o.key, o.id limit 1) x
   where k.n < :n),
h as materialized (
  select o.topic, o.key, o.id from k join outbox o on o.id = k.id
   where o.lease_until < clock_timestamp() for update of o skip locked),
r as (
  select x.id from h cross join lateral (
    select o.id from outbox o where o.topic = h.topic and o.key = h.key and o.id >= h.id
     order by o.id limit :per_key) x),
claimed as (
  update outbox o set fence = f.fence, attempts = attempts + 1,
         lease_until = clock_timestamp() + make_interval(secs => :lease)
    from r, f where o.id = r.id
  returning o.id, o.topic, o.key, o.envelope, o.fence, o.attempts)
select * from claimed
 union all
select * from (select null::bigint, topic, key, null, 0, 0 from k order by n desc limit 1) as last
"""

RELEASE = """
update outbox set lease_until = clock_timestamp() + make_interval(secs => :wait)
 where id = any(:ids::bigint[]) and fence = :fence
"""
