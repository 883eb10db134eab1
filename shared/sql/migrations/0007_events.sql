-- Facts, in streams: one row each, never changed. tx and pos order them for readers of all streams
-- once no older one can appear (docs/decisions/0012-event-store.md). The runtime role may insert
-- and read them, nothing else.
create table events (
  category       text not null,
  id             uuid not null,
  version        integer not null check (version > 0),
  pos            bigint generated always as identity,
  tx             xid8 not null default pg_current_xact_id(),
  -- The default is the epoch. It is changed by bump_event_epoch only: what is in the catalogue holds
  -- for a transaction with an older snapshot, too.
  epoch          integer not null default 1,
  type           text not null,
  schema_version smallint not null,
  recorded_at    timestamptz not null default clock_timestamp(),
  effective_at   timestamptz not null default clock_timestamp(),
  person_id      uuid,
  actor          uuid,
  correlation_id text,
  data           jsonb not null,   -- what is not personal
  sealed         bytea,            -- what is, under the person's key
  primary key (category, id, version)
);
create index events_order on events (epoch, tx, pos);
create index events_category on events (category, epoch, tx, pos);
create index events_person on events (person_id) where person_id is not null;

-- The epoch as readers know it: in their snapshot. One row.
create table event_epochs (
  one       boolean primary key default true check (one),
  epoch     integer not null,
  bumped_at timestamptz not null default clock_timestamp()
);
insert into event_epochs (epoch) values (1);

-- After a restore transaction ids may begin again below those of the rows. The lock waits for every
-- append under way and lets none begin: who sees the new epoch sees all of the old one.
create function bump_event_epoch() returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  bumped integer;
begin
  lock table events in access exclusive mode;
  update event_epochs set epoch = epoch + 1, bumped_at = clock_timestamp()
    returning epoch into bumped;
  execute format('alter table events alter column epoch set default %s', bumped);
  return bumped;
end $$;
revoke execute on function bump_event_epoch() from public;

-- The state after ``version`` facts, so that not all have to be read. Deleted with the person's key.
create table snapshots (
  category    text not null,
  id          uuid not null,
  version     integer not null,
  fingerprint text not null,   -- of the code that made it
  person_id   uuid references subject_keys (subject) on delete cascade,
  state       jsonb,           -- of a stream about nobody
  sealed      bytea,
  taken_at    timestamptz not null default clock_timestamp(),
  primary key (category, id)
);
create index snapshots_person on snapshots (person_id) where person_id is not null;
