-- Whom we have reminded, and the calendars that follow somebody's appointments.

-- One row for each time an appointment was at and each lead the clinic reminds with. It is made
-- in the transaction that emits the reminder, so there is one of each.
create table reminders (
  appointment_id uuid not null references appointments on delete cascade,
  starts_at timestamptz not null,
  hours_before integer not null,
  patient_id uuid not null,
  outcome text not null check (outcome in ('SENT', 'SKIPPED')),
  settled_at timestamptz not null,
  primary key (appointment_id, starts_at, hours_before)
);
create index reminders_patient on reminders (patient_id);

-- Since when the appointment is at this time, and how often the patient was reminded (a reminder
-- is emitted in the appointment's order, which takes a change of its row).
alter table appointments
  add column timed_at timestamptz not null default now(),
  add column reminders integer not null default 0;
create index appointments_coming on appointments (starts_at) where status = 'CONFIRMED';

-- Whoever has the token may read the person's appointments; only its hash is kept.
create table calendar_feeds (
  person_id uuid primary key,
  token_hash bytea not null,
  made_at timestamptz not null,
  constraint calendar_feeds_token unique (token_hash)
);
