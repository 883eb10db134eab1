-- Who waits for a slot, what has been freed, and who was offered it.

-- How a clinic wants it; without a row, what is the default here.
create table clinic_settings (
  clinic_id uuid primary key references clinics,
  version integer not null default 1,
  offer_minutes integer not null default 30 check (offer_minutes between 5 and 1440),
  reminder_hours integer[] not null default '{48,2}' check (cardinality(reminder_hours) <= 5)
);

create table waitlist_wishes (
  wish_id uuid primary key,
  version integer not null default 1,
  patient_id uuid not null,
  clinic_id uuid not null references clinics,
  type_id uuid not null references appointment_types,
  practitioner_id uuid,                       -- null: anybody
  windows tstzmultirange not null,
  status text not null default 'WAITING'
    check (status in ('WAITING', 'BOOKED', 'WITHDRAWN', 'EXPIRED')),
  appointment_id uuid,
  made_at timestamptz not null,
  ended_at timestamptz,
  check ((status = 'WAITING') = (ended_at is null)),
  check (status <> 'BOOKED' or appointment_id is not null)
);
create index waitlist_wishes_waiting on waitlist_wishes (clinic_id) where status = 'WAITING';
create index waitlist_wishes_ending on waitlist_wishes (upper(windows)) where status = 'WAITING';
create index waitlist_wishes_clinic on waitlist_wishes (clinic_id, status, made_at, wish_id);
create index waitlist_wishes_patient on waitlist_wishes (patient_id, made_at, wish_id);

-- Time that was somebody's and is not any more. Being here takes no time from anybody: what is not
-- in slots_taken is free to be booked.
create table waitlist_slots (
  freed_id uuid primary key,
  clinic_id uuid not null references clinics,
  practitioner_id uuid not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  look_at timestamptz,                        -- when to look for somebody next; null: it is past
  constraint waitlist_slots_time unique (clinic_id, practitioner_id, starts_at, ends_at)
);
create index waitlist_slots_due on waitlist_slots (look_at) where look_at is not null;

-- An offer that is OPEN holds its slot in slots_taken, under its own id.
create table waitlist_offers (
  offer_id uuid primary key,
  version integer not null default 1,
  freed_id uuid not null references waitlist_slots,
  wish_id uuid not null references waitlist_wishes,
  patient_id uuid not null,
  clinic_id uuid not null references clinics,
  practitioner_id uuid not null,
  type_id uuid not null references appointment_types,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  status text not null default 'OPEN'
    check (status in ('OPEN', 'ACCEPTED', 'DECLINED', 'EXPIRED', 'WITHDRAWN')),
  made_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  check ((status = 'OPEN') = (ended_at is null)),
  constraint waitlist_offers_once unique (patient_id, practitioner_id, starts_at)
);
create unique index waitlist_offers_open on waitlist_offers (wish_id) where status = 'OPEN';
create index waitlist_offers_slot on waitlist_offers (freed_id) where status = 'OPEN';
create index waitlist_offers_wish on waitlist_offers (wish_id);
