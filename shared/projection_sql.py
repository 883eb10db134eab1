"""The projections' statements; shared/projection.py says when each runs and why."""

from __future__ import annotations

__all__ = [
    "BEHIND",
    "CLEAR",
    "COLUMNS",
    "COMPARE",
    "ERASED",
    "KEEP_GOING",
    "LAG",
    "LIVE",
    "LOCK_BOTH",
    "LOCK_LIVE",
    "MOVE",
    "PLACES",
    "REGISTER",
    "RESET",
    "STAND_DOWN",
    "TAKE_OVER",
]

# Where they are there, it must not wait for who is changing them.
REGISTER = """
insert into projections (name, side, live)
select :name, side, side = 'a' from unnest(array['a', 'b']) as side
 where not exists (select from projections where name = :name)
on conflict do nothing
"""

_NEXT = """
  select e.recorded_at from events e
   where e.category = wanted.name and (e.epoch, e.tx, e.pos) > (p.epoch, p.tx, p.pos)
"""
_GATE = (
    "(e.epoch, e.tx) < ((select epoch from event_epochs), pg_snapshot_xmin(pg_current_snapshot()))"
)

# Is anything to be applied? It locks and writes nothing: the schedule asks each second.
BEHIND = f"""
select exists (
  select from unnest(:categories::text[]) as wanted (name)
   where exists ({_NEXT} and {_GATE})) as behind
  from projections p where p.name = :name and p.live
"""  # nosec B608 -- nothing in it comes from outside

# How old is the oldest event that is not applied, behind the gate or not?
LAG = """
select extract(epoch from clock_timestamp() - min(oldest.recorded_at))::float8 as lag
  from unnest(:categories::text[]) as wanted (name)
  left join projections p on p.name = :name and p.live
 cross join lateral (
   select e.recorded_at from events e
    where e.category = wanted.name
      and (e.epoch, e.tx, e.pos)
          > (coalesce(p.epoch, 0), coalesce(p.tx, '0'::xid8), coalesce(p.pos, 0))
    order by e.epoch, e.tx, e.pos limit 1) oldest
"""

LIVE = "select side from projections where name = :name and live"

PLACES = """
select side, live, epoch, tx::text::bigint as tx, pos from projections where name = :name
"""
# Whoever finds it locked leaves the work to the one who has it.
LOCK_LIVE = PLACES + " and live for update skip locked"
LOCK_BOTH = PLACES + " order by side for update"

MOVE = """
update projections
   set epoch = :epoch, tx = :tx::text::xid8, pos = :pos, updated_at = clock_timestamp()
 where name = :name and side = :side
"""
RESET = """
update projections set epoch = 0, tx = '0', pos = 0, updated_at = clock_timestamp()
 where name = :name and not live
"""
# In this order: at no moment may two be live.
STAND_DOWN = "update projections set live = false where name = :name and live"
TAKE_OVER = "update projections set live = true where name = :name and side = :side"

# Deleted, not truncated: who reads it in an older snapshot goes on reading it. In portions, none
# of which takes long enough to be ended.
CLEAR = "delete from {table} where ctid = any(array(select ctid from {table} limit 20000))"

# What is held of somebody stays in the read model until it may go.
ERASED = """
select person_id from erased_people where person_id = any(:people::uuid[]) and held_until is null
"""

COLUMNS = """
select a.attname as name, coalesce(a.attnum = any(i.indkey::int2[]), false) as key
  from pg_attribute a left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
 where a.attrelid = cast(:table::text as regclass) and a.attnum > 0 and not a.attisdropped
 order by a.attnum
"""
# It reads two whole tables, and holds up nobody.
KEEP_GOING = """
select set_config('statement_timeout', '0', true), set_config('transaction_timeout', '0', true)
"""
COMPARE = """
with surplus as (select {columns} from {live} except all select {columns} from {idle}),
lacking as (select {columns} from {idle} except all select {columns} from {live})
select coalesce(l.key, r.key)::text as key, l.row::text as live, r.row::text as rebuilt
  from (select jsonb_build_object({key}) as key, to_jsonb(s) as row from surplus s) l
  full join (select jsonb_build_object({key}) as key, to_jsonb(s) as row from lacking s) r
    on l.key = r.key
 order by 1 limit {most}
"""
