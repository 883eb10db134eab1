-- What patients ask reception for.

create table appointment_requests (
  request_id uuid primary key,
  version integer not null default 1,
  patient_id uuid not null,
  clinic_id uuid not null references clinics,
  type_id uuid not null references appointment_types,
  practitioner_id uuid,                       -- null: anybody
  windows tstzmultirange not null,            -- when the patient could come
  note bytea,                                 -- sealed with the patient's key
  status text not null default 'OPEN'
    check (status in ('OPEN', 'ACCEPTED', 'DECLINED', 'WITHDRAWN')),
  reason bytea,                               -- why it was declined; sealed likewise
  appointment_id uuid,
  made_at timestamptz not null,
  decided_by uuid,
  decided_at timestamptz,
  check ((status = 'OPEN') = (decided_at is null)),
  check (status <> 'ACCEPTED' or appointment_id is not null)
);
create index appointment_requests_clinic
  on appointment_requests (clinic_id, status, made_at, request_id);
create index appointment_requests_patient on appointment_requests (patient_id, made_at, request_id);
