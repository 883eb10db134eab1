-- Sagas this service orchestrates. Whoever changes one locks its row and raises the fence, so a
-- process that wakes up after its lease finds that the saga has gone on without it.
create table sagas (
  id             uuid primary key,
  name           text not null,
  definition     text not null,
  subject        uuid not null,
  status         text not null
                 check (status in ('RUNNING', 'COMPENSATING', 'COMPLETED', 'FAILED', 'PARKED')),
  steps          text[] not null,
  states         text[] not null,
  round          integer not null,
  attempts       integer not null,
  since          timestamptz not null,
  deadline_at    timestamptz,
  wake_at        timestamptz,
  lease_until    timestamptz,
  fence          bigint not null default 0,
  error          text,
  -- What the steps need, sealed with the service key; gone when the saga ends.
  data           bytea,
  -- Answers that came while the code did not fit the saga, in order.
  held           jsonb not null default '[]',
  correlation_id text,
  created_at     timestamptz not null,
  updated_at     timestamptz not null,
  check (data is null = (status in ('COMPLETED', 'FAILED')))
);
create index sagas_due on sagas (wake_at) where wake_at is not null;
create index sagas_newest on sagas (created_at desc, id desc);

-- What happened to a saga, in order. Names of steps and problems only, nothing personal.
create table saga_log (
  id      bigint generated always as identity primary key,
  saga_id uuid not null references sagas (id) on delete cascade,
  at      timestamptz not null,
  event   text not null,
  step    text,
  action  text,
  detail  text
);
create index saga_log_timeline on saga_log (saga_id, id);
