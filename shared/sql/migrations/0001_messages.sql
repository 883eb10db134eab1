-- What a service needs to send and receive messages safely.

create sequence outbox_fence;

-- Rows wait here from the commit that made them until the broker has them; then they are deleted,
-- so personal payloads do not stay.
create table outbox (
  id bigint generated always as identity primary key,
  topic text not null,
  key text not null,
  envelope text not null,
  fence bigint not null,
  lease_until timestamptz not null,
  attempts integer not null default 0
);
create index outbox_keys on outbox (topic, key, id);

-- Every message that took effect (or must never take effect again), for longer than the broker
-- redelivers and operators redrive.
create table inbox (
  event_id uuid primary key,
  received_at timestamptz not null default clock_timestamp()
);
create index inbox_age on inbox (received_at);

-- Messages that could not be handled, with the reason.
create table dead_letters (
  id text primary key,
  event_type text,
  body text not null,
  reason text not null,
  attempts integer not null,
  stored_at timestamptz not null default clock_timestamp()
);
