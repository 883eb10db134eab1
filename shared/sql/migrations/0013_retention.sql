-- By which rules it was found that something is held, so that other rules are noticed; and which run
-- of the erasure at this service it was, so that an answer that arrives late is known to be old.
alter table erased_people add column retention text;
alter table erased_people add column run integer not null default 1;
