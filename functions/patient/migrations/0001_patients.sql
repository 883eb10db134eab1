-- The profile of everybody who is a patient of the group. What is sealed is sealed under the
-- person's own key in subject_keys.

create table patients (
  patient_id uuid primary key,
  version integer not null default 1,   -- of profile, e-mail and anamnesis together
  email text,                           -- a replica: auth is primary
  email_version integer not null,       -- the version of auth's account that email is from
  first_name text not null,
  last_name text not null,
  name text collate "C" not null,       -- both, folded for search: ' popescu ana '
  national_id bytea,
  national_id_index bytea constraint patients_national_id unique,
  phone bytea,
  birth_date bytea,
  language text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check ((national_id is null) = (national_id_index is null))
);
-- Not unique: auth sees to that, and events about two people may arrive in either order.
create index patients_email on patients (email);

-- Exactly one row for each patient, also when nothing is known yet.
create table patient_anamnesis (
  patient_id uuid primary key references patients on delete cascade,
  allergies bytea,
  chronic_conditions bytea,
  medications bytea,
  notes bytea
);

-- Each word of each name. The whole name stands in the index so that the other words of a query
-- are checked without leaving it; "C" makes a prefix a range.
create table patient_words (
  word text collate "C" not null,
  name text collate "C" not null,
  patient_id uuid not null references patients on delete cascade,
  primary key (word, name, patient_id)
);
create index patient_words_patient on patient_words (patient_id);

-- Who must never come back, whatever message arrives late.
create table removed_patients (
  patient_id uuid primary key,
  removed_at timestamptz not null default now()
);

-- The newest e-mail address of somebody whose profile does not exist (yet). Purged within days.
create table early_emails (
  patient_id uuid primary key,
  email text not null,
  email_version integer not null,
  received_at timestamptz not null default now()
);
create index early_emails_age on early_emails (received_at);
