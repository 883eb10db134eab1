-- What a patient is allergic to, coded, so that a prescription can be checked against it. No row:
-- nobody has asked. Also that somebody has no allergy is sealed with the person's key.
create table patient_allergies (
  patient_id uuid primary key references patients on delete cascade,
  status bytea not null,
  allergies bytea not null
);
