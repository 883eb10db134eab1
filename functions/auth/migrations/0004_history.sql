-- How many facts the account's history has. 0: it was made before there were histories, and whoever
-- changes it first writes down how it was. No index on it: every change would pay for that.
alter table users add column facts integer not null default 0;

-- The account after each of its facts, computed from them. The address is sealed with the person's
-- key, and an erasure deletes the rows.
create table account_history_a (
  person_id uuid not null,
  version integer not null,
  what text not null,
  at timestamptz not null,
  by_person uuid,
  status text not null,
  roles jsonb not null,
  email bytea,
  email_from integer not null,     -- the version that the address is from
  primary key (person_id, version)
);
create table account_history_b (like account_history_a including all);
