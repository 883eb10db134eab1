-- Access tokens that stop working before they expire: all of a person (session is null) or one
-- session's. A row is needed only until the last token it speaks of has expired.
create table revocations (
  subject    uuid not null,
  session    uuid,
  revoked_at timestamptz not null,
  expires_at timestamptz not null,
  unique nulls not distinct (subject, session)
);

create index revocations_expiry on revocations (expires_at);
