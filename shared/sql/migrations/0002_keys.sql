-- The service's own data keys, wrapped by the KMS key. The highest version seals, all unseal.
create table service_keys (
  version    integer primary key check (version > 0),
  wrapped    bytea not null,
  created_at timestamptz not null default now()
);

-- One data key per person, wrapped by the service key of that version. Deleting the row makes
-- everything sealed for the person unreadable. No foreign key to service_keys: every insert would
-- lock the same parent row, and service keys are never deleted.
create table subject_keys (
  subject    uuid primary key,
  version    integer not null,
  wrapped    bytea not null,
  created_at timestamptz not null default now()
);
