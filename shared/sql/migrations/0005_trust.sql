-- Who must never come back: one row for each erased person. Names nothing but the id.
create table erased_people (
  person_id  uuid primary key,
  erasure_id uuid not null,
  erased_at  timestamptz not null default clock_timestamp(),
  erased     jsonb not null,   -- table -> rows
  held       jsonb not null,   -- [{what, reason, until}]: what the law forbids to erase yet
  held_until timestamptz       -- the first of these moments
);
create index erased_people_held on erased_people (held_until) where held_until is not null;

-- Personal payloads rest sealed; refs are the ids in the message, so that an erasure finds it.
alter table dead_letters alter column body drop not null;
alter table dead_letters add column sealed bytea;
alter table dead_letters add column refs uuid[] not null default '{}';
alter table dead_letters add column topic text;
update dead_letters set refs = array(
  select distinct found[1]::uuid
  from regexp_matches(body, '[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}', 'gi') found
);
create index dead_letters_newest on dead_letters (stored_at desc, id desc);

-- Answers of POST requests, given again when the request is repeated. Kept for a day.
create table idempotency_keys (
  key        bytea primary key,
  person_id  uuid,
  answer     bytea not null,   -- sealed, together with a fingerprint of the request
  mismatches integer not null default 0,   -- how often the key came with another request
  created_at timestamptz not null default clock_timestamp()
);
create index idempotency_keys_age on idempotency_keys (created_at);
create index idempotency_keys_person on idempotency_keys (person_id);

-- Who read or wrote whose data. The runtime role may insert and read, nothing else. tx is the
-- writing transaction: rows are sealed in the order (tx, id) once no older one can appear.
create table audit_log (
  id             bigint generated always as identity primary key,
  tx             xid8 not null default pg_current_xact_id(),
  at             timestamptz not null default clock_timestamp(),
  actor          uuid,
  service        text,
  roles          text[] not null default '{}',
  person_id      uuid,
  action         text not null,
  what           text not null,
  purpose        text not null,
  correlation_id text
);
create index audit_log_person on audit_log (person_id, id desc);
create index audit_log_order on audit_log (tx, id);

create table audit_seals (
  number    integer primary key,
  after_tx  xid8 not null,
  after_id  bigint not null,
  upto_tx   xid8 not null,
  upto_id   bigint not null,
  entries   integer not null,
  root      bytea not null,
  previous  bytea not null,
  mac       bytea not null,
  sealed_at timestamptz not null
);

-- Who may do a job that only one process may do at a time; the fence tells a late one apart.
create table leases (
  name        text primary key,
  fence       bigint not null,
  lease_until timestamptz not null
);

-- Live views where there is no Firestore: the same contract on JSONB.
create table documents (
  collection text not null,
  id         text not null,
  version    bigint not null,
  data       jsonb,            -- null: erased, and nothing older than version comes back
  primary key (collection, id)
);
