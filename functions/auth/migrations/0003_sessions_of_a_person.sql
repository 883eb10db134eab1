-- An erasure and an export ask for all of a person's sessions, also those that ended, and deleting
-- an account looks for them once more.
create index sessions_of on sessions (user_id);
