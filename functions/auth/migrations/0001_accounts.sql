-- Who may log in, with which roles where.

create table clinics (
  id uuid primary key,
  name text not null unique,
  address text not null,
  time_zone text not null,
  languages text[] not null,
  version integer not null default 1,
  created_at timestamptz not null default now()
);

-- One row per person: a patient's id is the patient_id of every other service.
create table users (
  id uuid primary key,
  status text not null check (status in ('PENDING', 'INVITED', 'ACTIVE', 'DEACTIVATED')),
  email text constraint users_email unique,
  password_hash text,
  national_id bytea,
  national_id_index bytea constraint users_national_id unique,
  national_id_version integer not null default 0,  -- of the patient's record it is from
  first_name text,               -- staff only; a patient's name lives in patient
  last_name text,
  language text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- clinic_id null: for the whole group.
create table user_roles (
  user_id uuid not null references users on delete cascade,
  clinic_id uuid references clinics,
  role text not null check (role in ('PATIENT', 'RECEPTIONIST', 'DENTIST', 'ADMIN')),
  unique nulls not distinct (user_id, clinic_id, role)
);
create index user_roles_role on user_roles (role, user_id);

-- A log-in. Its refresh tokens form a family: one reused too late ends them all.
create table sessions (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  started_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz
);
create index sessions_user on sessions (user_id) where ended_at is null;

create table refresh_tokens (
  hash bytea primary key,
  session_id uuid not null references sessions on delete cascade,
  expires_at timestamptz not null,
  used_at timestamptz
);
create index refresh_tokens_session on refresh_tokens (session_id);
create index refresh_tokens_age on refresh_tokens (expires_at);

-- One-time links by which a person sets the first password.
create table invitations (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  expires_at timestamptz not null,
  used_at timestamptz
);
create index invitations_user on invitations (user_id);

-- Attempts at a password per account and per address; the key is a blind index.
create table login_attempts (
  key bytea primary key,
  attempts integer not null,
  since timestamptz not null
);
create index login_attempts_age on login_attempts (since);

-- The keys that sign tokens, sealed under the service key; the newest active one signs.
create table signing_keys (
  kid text primary key,
  sealed bytea not null,
  public jsonb not null,
  active_from timestamptz not null,
  created_at timestamptz not null default now()
);
