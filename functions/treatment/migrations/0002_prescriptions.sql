-- What patient says somebody is allergic to, followed by events. version: of the patient's record that
-- the list is from, 0 while nothing is known; heard: the newest version that was heard of. The list is
-- old news when that is newer, or when nothing confirmed it for some time.
create table allergy_replicas (
  patient_id uuid primary key,
  version integer not null,
  heard integer not null,
  listed bytea,
  confirmed_at timestamptz not null,
  check ((version = 0) = (listed is null) and version <= heard)
);

create table prescriptions (
  prescription_id uuid primary key,
  patient_id uuid not null,
  clinic_id uuid not null,
  treatment_id uuid,
  prescriber_id uuid not null,
  version integer not null default 1,
  status text not null default 'ISSUED' check (status in ('ISSUED', 'CANCELLED')),
  content bytea not null,
  allergies_version integer not null,    -- of the patient's record that it was checked against
  override bytea,                        -- the reason, and which allergies it overrides
  issued_at timestamptz not null default now(),
  cancelled_at timestamptz,
  cancelled_by uuid,
  cancel_reason bytea,
  check ((status = 'CANCELLED') = (cancelled_at is not null and cancel_reason is not null))
);
create index prescriptions_patient on prescriptions (patient_id, prescription_id desc);

-- What was issued stays as it was issued, whatever code comes to write here.
create function prescription_stays() returns trigger language plpgsql as $$
begin
  if (new.prescription_id, new.patient_id, new.clinic_id, new.treatment_id, new.prescriber_id,
      new.content, new.allergies_version, new.override, new.issued_at)
     is distinct from
     (old.prescription_id, old.patient_id, old.clinic_id, old.treatment_id, old.prescriber_id,
      old.content, old.allergies_version, old.override, old.issued_at)
     or old.status = 'CANCELLED' then
    raise exception 'a prescription is immutable once it is issued';
  end if;
  return new;
end $$;
create trigger prescription_stays before update on prescriptions
  for each row execute function prescription_stays();
