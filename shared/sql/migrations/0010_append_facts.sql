-- The append of facts, as a function: PostgreSQL plans what is in it once per connection, and plans
-- the same statement from a client anew each time, which costs more than carrying it out.
--
-- All facts in one statement; how many were added. The expected version is compared in it, and with
-- two who expect the same the primary key decides. Nothing is added for somebody who was erased, nor
-- by a transaction that began to write before the stream's last one did: in the order of all events
-- its facts would come before those they follow.
create function append_facts(
  stream_category text, stream_id uuid, person uuid, who uuid, correlation text,
  since timestamptz, expected integer, facts json
) returns integer
language plpgsql as $$
declare
  moment constant timestamptz := clock_timestamp();
  added integer;
begin
  insert into events (category, id, version, type, schema_version, recorded_at, effective_at,
                      person_id, actor, correlation_id, data, sealed)
  select stream_category, stream_id, f.version, f.type, f.schema_version, moment,
         coalesce(since, moment), person, who, correlation, f.data, decode(f.sealed, 'hex')
    from json_to_recordset(facts)
         as f (version integer, type text, schema_version smallint, data jsonb, sealed text)
   where expected = coalesce((
           select case when e.epoch < (select epoch from event_epochs)
                         or e.tx <= pg_current_xact_id() then e.version else -e.version end
             from events e where e.category = stream_category and e.id = stream_id
            order by e.version desc limit 1), 0)
     and not exists (select from erased_people where person_id = person)
   order by f.version;
  get diagnostics added = row_count;
  return added;
end $$;
