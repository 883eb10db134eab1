-- What is told of appointments and treatment: texts with facts in them, told only while they hold.

-- facts: JSON of what the text needs, sealed with the person's key. about: what it is about, such as
-- an appointment, where that is not the person.
alter table notifications add column about uuid, add column facts bytea;

-- version: of what it is about.
alter table deliveries
  add column about uuid,
  add column version bigint,
  add column facts bytea;

-- The newest version that puts what was told of earlier ones out of date: a reminder of an
-- appointment that was cancelled meanwhile is not sent, however late it comes.
create table settled (
  about uuid primary key,
  person_id uuid not null,
  version bigint not null,
  seen_at timestamptz not null default clock_timestamp()
);
create index settled_person on settled (person_id);
create index settled_age on settled (seen_at);

-- Replicas of what auth keeps, never backwards. places: where the person is RECEPTIONIST, a clinic's
-- id or * for the whole group.
create table receptionists (
  person_id uuid primary key,
  version bigint not null,
  places text[] not null
);
create table clinics (
  clinic_id uuid primary key,
  version bigint not null,
  name text not null
);
