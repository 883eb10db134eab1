-- Who asked to be erased, and what every service said. Holds ids and words of the program only,
-- and stays: it shows that the request was met.
create table erasures (
  id uuid primary key,                  -- unguessable: who knows it may follow the erasure
  person_id uuid not null unique,
  reason text not null,
  requested_by uuid,
  requested_at timestamptz not null,
  status text not null default 'REQUESTED'
    check (status in ('REQUESTED', 'RUNNING', 'COMPLETED', 'HELD', 'FAILED')),
  tries integer not null default 0,     -- to write it into the ledger
  try_at timestamptz not null,
  completed_at timestamptz,
  receipt text                          -- signed once, then never changed
);
create index erasures_requested on erasures (try_at) where status = 'REQUESTED';
create index erasures_unsigned on erasures (completed_at)
  where completed_at is not null and receipt is null;
create index erasures_age on erasures (requested_at);

create table erasure_services (
  erasure_id uuid not null references erasures,
  service text not null,
  state text not null default 'PENDING' check (state in ('PENDING', 'ERASED', 'HELD', 'FAILED')),
  erased jsonb not null default '{}',   -- table -> rows
  held jsonb not null default '[]',     -- [{what, reason, until}]
  answered_at timestamptz,
  askings integer not null default 1,
  ask_at timestamptz not null,          -- when to ask again
  primary key (erasure_id, service)
);
create index erasure_services_due on erasure_services (ask_at) where state = 'PENDING';
create index erasure_services_answered on erasure_services (answered_at);

-- The public halves of keys that signed a receipt: it can be checked long after the key is gone.
create table receipt_keys (
  kid text primary key,
  public jsonb not null,
  added_at timestamptz not null default now()
);
