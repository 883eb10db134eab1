-- Archives of everything that is known about a person, made by a job. A row goes when the person is
-- erased, and what was made with it.
create table exports (
  id uuid primary key,
  person_id uuid not null,
  requested_by uuid,
  requested_at timestamptz not null,
  state text not null default 'QUEUED'
    check (state in ('QUEUED', 'RUNNING', 'READY', 'FAILED', 'EXPIRED')),
  tries integer not null default 0,
  fence integer not null default 0,     -- who lost the lease may not say that it is ready
  lease_until timestamptz not null,     -- when somebody else may go on, or a first one begin
  path text,                            -- of the object, one for each try
  files_done integer not null default 0,
  files_all integer,
  bytes_done bigint not null default 0,
  bytes_all bigint,
  size bigint,                          -- of the archive
  failure text,                         -- in words of the program
  settled_at timestamptz,               -- READY or FAILED since
  expires_at timestamptz
);
create unique index exports_open on exports (person_id) where state in ('QUEUED', 'RUNNING');
create index exports_due on exports (lease_until) where state in ('QUEUED', 'RUNNING');
create index exports_person on exports (person_id);
create index exports_expiry on exports (expires_at) where state = 'READY';
