-- What is held at first may be let go later: a second receipt says so. An answer that arrives late is
-- told from a newer one by its run.
alter table erasures add column held_at timestamptz;
alter table erasures add column released_at timestamptz;
alter table erasures add column final_receipt text;
create index erasures_unreceipted on erasures (released_at)
  where released_at is not null and final_receipt is null;
alter table erasure_services add column run integer not null default 0;
