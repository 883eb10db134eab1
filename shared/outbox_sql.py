"""The outbox's statements; shared/outbox.py says when each runs and why."""

from __future__ import annotations

__all__ = [
    "CLAIM_KEYS",
    "CLAIM_NEXT",
    "INSERT",
    "INSERT_ONE",
    "MARK",
    "MARK_HEADS",
    "PROBE",
    "RELEASE",
]

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

# The same for one row, as most transactions have: it is planned in half the time.
INSERT_ONE = """
insert into outbox (topic, key, envelope, fence, lease_until)
select :topic, :key, :envelope, nextval('outbox_fence'),
       case when exists (select from outbox o where o.topic = :topic and o.key = :key)
            then '-infinity'::timestamptz
            else clock_timestamp() + make_interval(secs => :lease) end
returning id, fence, lease_until > '-infinity' as mine
"""

# Of each key the head's fence says whose the run is: whoever claimed it meanwhile changed that.
MARK = """
with h as materialized (
  select topic, key from outbox where id = any(:heads::bigint[]) and fence = :fence for update)
delete from outbox o using h
 where o.id = any(:ids::bigint[]) and o.topic = h.topic and o.key = h.key
"""

# The same where every run is its head alone.
MARK_HEADS = "delete from outbox where id = any(:heads::bigint[]) and fence = :fence"

# Does anything wait for some keys? A claim would say so too, at four times the cost.
PROBE = """
select exists (select from unnest(:topics::text[], :keys::text[]) as k(topic, key)
                 join outbox o using (topic, key)) as more
"""

RELEASE = """
update outbox set lease_until = clock_timestamp() + make_interval(secs => :wait)
 where id = any(:heads::bigint[]) and fence = :fence
"""

# Claims lease the heads only (one small update per key, not one per row) and take the run of rows
# behind them. A row is never taken but through its key's head.
_HEADS_AND_RUNS = """
u as (
  update outbox o set fence = f.fence, attempts = attempts + 1,
         lease_until = clock_timestamp() + make_interval(secs => :lease)
    from h, f where o.id = h.id
  returning o.id, o.topic, o.key, o.fence, o.attempts),
r as (
  select x.id, u.topic, u.key, x.envelope, u.fence, u.attempts from u cross join lateral (
    select o.id, o.envelope from outbox o where o.topic = u.topic and o.key = u.key
       and o.id >= u.id order by o.id limit :per_key) x)
"""

# The run at the head of each of some keys, if nobody holds it.
CLAIM_KEYS = f"""
with f as materialized (select nextval('outbox_fence') as fence),
k as (select * from unnest(:topics::text[], :keys::text[]) as k(topic, key)),
h as materialized (
  select o.id from k join outbox o on o.id =
         (select min(x.id) from outbox x where x.topic = k.topic and x.key = k.key)
   where o.lease_until < clock_timestamp() for update of o skip locked),
{_HEADS_AND_RUNS}
select * from r
"""  # nosec B608

# The same for up to :n keys after (:topic, :key), found by a skip scan over the index. The last
# row is not one to send: it says which key was the last.
CLAIM_NEXT = f"""
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
  select o.id from k join outbox o on o.id = k.id
   where o.lease_until < clock_timestamp() for update of o skip locked),
{_HEADS_AND_RUNS}
select * from r
 union all
select * from (select null::bigint, topic, key, null, 0, 0 from k order by n desc limit 1) as last
"""  # nosec B608
