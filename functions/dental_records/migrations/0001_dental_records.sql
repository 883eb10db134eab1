-- What codes there are besides the shipped ones: catalogues of diagnoses and procedures, loaded by
-- the operator. A code that is withdrawn stays, since records refer to it.
create table code_systems (
  system text primary key,
  title text not null,
  version text not null,
  loaded_at timestamptz not null default clock_timestamp()
);
create table codes (
  system text not null references code_systems (system),
  code text not null,
  title text not null,
  withdrawn boolean not null default false,
  primary key (system, code)
);

-- Computed from the facts (store/projection.py). What a record says is sealed with the patient's
-- key; what it is found by is not, and an erasure deletes the rows.
create table tooth_problems_a (
  problem_id uuid primary key,
  patient_id uuid not null,
  tooth text not null,
  since timestamptz not null,
  version integer not null,
  changed_at timestamptz not null,
  entered_in_error boolean not null default false,
  record bytea not null,
  reason bytea                     -- why it was entered in error
);
create index tooth_problems_a_patient on tooth_problems_a (patient_id, since desc, problem_id);
create table tooth_problems_b (like tooth_problems_a including all);

create table tooth_interventions_a (
  intervention_id uuid primary key,
  patient_id uuid not null,
  teeth text[] not null,
  problem_ids uuid[] not null,     -- those it was done for
  resolves boolean not null,
  lots bytea[] not null,           -- blind indexes: a recall finds whom it concerns
  treatment_item_id uuid,
  since timestamptz not null,
  version integer not null,
  changed_at timestamptz not null,
  entered_in_error boolean not null default false,
  record bytea not null,
  reason bytea
);
create index tooth_interventions_a_patient
  on tooth_interventions_a (patient_id, since desc, intervention_id);
create index tooth_interventions_a_lots on tooth_interventions_a using gin (lots);
create table tooth_interventions_b (like tooth_interventions_a including all);
