-- What others keep replicas of: a row that was made before they were told is told of by a job.
alter table clinics add column told boolean not null default false;
alter table user_roles add column told boolean not null default false;
create index user_roles_untold on user_roles (user_id) where not told and role <> 'PATIENT';
