-- What people are told: in the app (notifications) and by e-mail (deliveries).

-- One row for each person; whatever changes what the person sees changes it.
create table inboxes (
  person_id uuid primary key,
  language text not null default 'en',
  version bigint not null default 0,            -- of what the live view shows
  projected_version bigint not null default 0,  -- of what it has been given
  sent bigint not null default 0                -- how often others were told of a notification
);
create index inboxes_stale on inboxes (person_id) where projected_version < version;

-- An event is told once, also when it arrives after the kit's inbox has forgotten it.
create table notifications (
  id uuid primary key,
  person_id uuid not null,
  event_id uuid not null,
  kind text not null,
  created_at timestamptz not null default clock_timestamp(),
  read_at timestamptz,
  constraint notifications_once unique (event_id, person_id)
);
create index notifications_newest on notifications (person_id, created_at desc, id desc);
create index notifications_unread on notifications (person_id) where read_at is null;

-- An e-mail on its way. Who sends it raises the fence and moves due_at on, which is the lease.
-- The address is asked for when it is sent; only one that is not the person's any more is kept,
-- and the invitation's link, both sealed with the person's key until the mail has left.
create table deliveries (
  id uuid primary key,
  person_id uuid not null,
  event_id uuid not null,
  kind text not null,
  recipient text not null check (recipient in ('CURRENT', 'PREVIOUS')),
  state text not null default 'PENDING' check (state in ('PENDING', 'SENT', 'SKIPPED', 'DEAD')),
  address bytea,
  link bytea,
  attempts integer not null default 0,
  fence bigint not null default 0,
  due_at timestamptz not null default clock_timestamp(),
  reason text,                          -- why the last attempt failed: a code, nothing personal
  correlation_id text,
  created_at timestamptz not null default clock_timestamp(),
  settled_at timestamptz,
  constraint deliveries_once unique (event_id, recipient),
  check ((settled_at is null) = (state = 'PENDING'))
);
create index deliveries_due on deliveries (due_at) where state = 'PENDING';
create index deliveries_person on deliveries (person_id);
create index deliveries_settled on deliveries (settled_at) where settled_at is not null;

-- What a person has switched off, as KIND.CHANNEL. Without a row everything is on, at version 0.
create table preferences (
  person_id uuid primary key,
  version integer not null,
  muted text[] not null
);
