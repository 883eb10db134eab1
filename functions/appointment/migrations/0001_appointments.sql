-- When practitioners work, what is taken, and the appointments.

-- Of auth; kept by CLINIC_UPDATED. version 0: auth was asked, its version is not known.
create table clinics (
  clinic_id uuid primary key,
  version integer not null,
  name text not null,
  time_zone text not null          -- IANA
);

-- practitioner_id is the account's id in auth; somebody may work at several clinics.
-- hours: [[weekday (1 is Monday: ISO 8601), from, to, [[from, to] of each break]], ...] in minutes
-- of the clinic's day; never overlapping.
create table practitioners (
  clinic_id uuid not null references clinics,
  practitioner_id uuid not null,
  version integer not null default 1,
  display_name text not null,
  active boolean not null default true,
  hours jsonb not null default '[]',
  primary key (clinic_id, practitioner_id)
);

-- What differs from the weekly hours, in the clinic's local time. practitioner_id null: all of the
-- clinic's practitioners.
create table schedule_exceptions (
  exception_id uuid primary key,
  clinic_id uuid not null references clinics,
  practitioner_id uuid,
  kind text not null check (kind in ('HOLIDAY', 'LEAVE', 'EXTRA_HOURS')),
  starts timestamp not null,
  ends timestamp not null,
  check (starts < ends),
  check ((kind = 'HOLIDAY') = (practitioner_id is null)),
  foreign key (clinic_id, practitioner_id) references practitioners
);
create index schedule_exceptions_time on schedule_exceptions (clinic_id, ends);
-- An erasure finds a practitioner's own without reading everybody's.
create index schedule_exceptions_practitioner on schedule_exceptions (practitioner_id);

create table chairs (
  chair_id uuid primary key,
  clinic_id uuid not null references clinics,
  version integer not null default 1,
  name text not null,
  active boolean not null default true,
  constraint chairs_name unique (clinic_id, name)
);

create table appointment_types (
  type_id uuid primary key,
  clinic_id uuid not null references clinics,
  version integer not null default 1,
  name text not null,
  active boolean not null default true,
  duration_minutes integer not null check (duration_minutes between 5 and 1440),
  needs_chair boolean not null,
  price bigint not null check (price >= 0),   -- in the currency's minor unit
  currency text not null,                     -- ISO 4217
  cutoff_minutes integer not null check (cutoff_minutes >= 0),
  constraint appointment_types_name unique (clinic_id, name)
);

-- The embedded PostgreSQL has no btree_gist, so GiST knows no equality of UUIDs: a range of one
-- number stands for an id. Two ids with one number could only refuse a booking, never let one
-- through, and there is no chance to speak of that anybody sees it (64 bits).
create function slot_key(id uuid) returns bigint language sql immutable strict parallel safe
  return ('x' || substr(md5(id::text), 1, 16))::bit(64)::bigint;

-- Whose time is taken, by appointments that stand and by offers that wait for an answer. What is
-- freed is deleted. There is no booking beside this table: whoever inserts here has the slot.
create table slots_taken (
  slot_id uuid primary key,                   -- the appointment's id, or the offer's
  kind text not null check (kind in ('APPOINTMENT', 'OFFER')),
  clinic_id uuid not null,
  practitioner_id uuid not null,
  patient_id uuid not null,
  chair_id uuid,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  practitioner_key bigint not null generated always as (slot_key(practitioner_id)) stored,
  patient_key bigint not null generated always as (slot_key(patient_id)) stored,
  chair_key bigint generated always as (slot_key(chair_id)) stored,
  check (starts_at < ends_at),
  constraint slots_taken_practitioner exclude using gist
    (int8range(practitioner_key, practitioner_key, '[]') with &&,
     tstzrange(starts_at, ends_at) with &&),
  constraint slots_taken_patient exclude using gist
    (int8range(patient_key, patient_key, '[]') with &&, tstzrange(starts_at, ends_at) with &&),
  constraint slots_taken_chair exclude using gist
    (int8range(chair_key, chair_key, '[]') with &&, tstzrange(starts_at, ends_at) with &&)
    where (chair_id is not null)
);
create index slots_taken_patient_id on slots_taken (patient_id);

create table appointments (
  appointment_id uuid primary key,
  version integer not null default 1,
  patient_id uuid not null,
  clinic_id uuid not null references clinics,
  practitioner_id uuid not null,
  type_id uuid not null references appointment_types,
  chair_id uuid references chairs,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  status text not null check (status in
    ('PENDING', 'CONFIRMED', 'CHECKED_IN', 'COMPLETED', 'CANCELLED', 'MISSED')),
  amount bigint not null,                     -- the price when it was booked, in minor units
  currency text not null,
  note bytea,                                 -- sealed with the patient's key
  cancellation_reason bytea,                  -- likewise
  cancelled_by text check (cancelled_by in ('PATIENT', 'CLINIC', 'SYSTEM')),
  cancelled_at timestamptz,
  acknowledged_at timestamptz,
  series_id uuid,
  booked_by uuid,                             -- who did it; null: the service itself
  booked_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  check ((status = 'CANCELLED') = (cancelled_at is not null)),
  check (starts_at < ends_at),
  foreign key (clinic_id, practitioner_id) references practitioners
);
create index appointments_clinic on appointments (clinic_id, starts_at, appointment_id);
create index appointments_practitioner on appointments (practitioner_id, starts_at, appointment_id);
create index appointments_patient on appointments (patient_id, starts_at, appointment_id);
create index appointments_series on appointments (series_id) where series_id is not null;
