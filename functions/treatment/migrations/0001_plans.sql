-- Treatment plans. What is to be done to whom concerns health and is sealed with the patient's key;
-- prices stand in the open, so that they can be added up.

create table treatments (
  treatment_id uuid primary key,
  patient_id uuid not null,
  clinic_id uuid not null,
  version integer not null default 1,    -- of all that can be read of the plan
  plan_version integer not null default 1,
  status text not null check (status in ('OFFERED', 'ACCEPTED', 'DECLINED', 'COMPLETED')),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index treatments_patient on treatments (patient_id, treatment_id desc);

-- Each version that was ever offered; none is ever changed.
create table treatment_versions (
  treatment_id uuid not null references treatments,
  plan_version integer not null,
  patient_id uuid not null,
  plan bytea not null,
  made_by uuid not null,
  made_at timestamptz not null default now(),
  primary key (treatment_id, plan_version)
);
create index treatment_versions_patient on treatment_versions (patient_id);

-- What the patient said about a version; the newest about a version counts.
create table treatment_decisions (
  decision_id uuid primary key,
  treatment_id uuid not null,
  plan_version integer not null,
  patient_id uuid not null,
  decision text not null check (decision in ('ACCEPTED', 'DECLINED')),
  how text not null check (how in ('PATIENT', 'PAPER')),
  recorded_by uuid not null,
  decided_at timestamptz not null,       -- when the patient decided
  recorded_at timestamptz not null default now(),
  note bytea,
  foreign key (treatment_id, plan_version) references treatment_versions
);
create index treatment_decisions_version on treatment_decisions (treatment_id, plan_version);
create index treatment_decisions_patient on treatment_decisions (patient_id);

-- The items of all versions, each at its newest price. current: the newest version has it.
create table treatment_items (
  item_id uuid primary key,
  treatment_id uuid not null references treatments,
  patient_id uuid not null,
  price bigint not null check (price >= 0),
  current boolean not null
);
create index treatment_items_treatment on treatment_items (treatment_id);
create index treatment_items_patient on treatment_items (patient_id);

-- What dental_records says was done for an item. A message may come before the item is known here,
-- and a correction before what it corrects: the newest version counts.
create table item_interventions (
  intervention_id uuid primary key,
  patient_id uuid not null,
  item_id uuid,
  version integer not null,
  in_error boolean not null,
  performed_at timestamptz
);
create index item_interventions_item on item_interventions (item_id) where not in_error;
create index item_interventions_patient on item_interventions (patient_id);
