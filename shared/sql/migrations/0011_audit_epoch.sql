-- The order in which audit rows are sealed begins with the epoch, as that of events does: after a
-- restore transaction ids may begin again below those of rows that are sealed. What is there belongs
-- to the first epoch, in every database, so that it reads the same wherever it is restored to.
alter table audit_log add column epoch integer not null default 1;
alter table audit_seals add column after_epoch integer not null default 1;
alter table audit_seals add column upto_epoch integer not null default 1;
create index audit_log_epoch on audit_log (epoch, tx, id);
drop index audit_log_order;

-- The lock waits for every append and every audited access under way and lets none begin: who sees
-- the new epoch sees all of the old one.
create or replace function bump_event_epoch() returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  bumped integer;
begin
  lock table audit_log, events in access exclusive mode;
  update event_epochs set epoch = epoch + 1, bumped_at = clock_timestamp()
    returning epoch into bumped;
  execute format('alter table events alter column epoch set default %s', bumped);
  execute format('alter table audit_log alter column epoch set default %s', bumped);
  return bumped;
end $$;

-- From here on audit rows belong to the epoch that events do.
do $$ begin
  execute format('alter table audit_log alter column epoch set default %s',
                 (select epoch from event_epochs));
end $$;
