-- The version of the account in auth whose roles were heard of last: what is older changes nothing.
alter table practitioners add column roles_version integer not null default 0;

-- Roles change for all clinics at once.
create index practitioners_practitioner on practitioners (practitioner_id);
