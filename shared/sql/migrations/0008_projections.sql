-- How far each projection has read. Its tables exist twice: the live side answers and goes on, the
-- other one is rebuilt or compared with it (shared/projection.py).
create table projections (
  name       text not null,
  side       text not null check (side in ('a', 'b')),
  live       boolean not null,
  epoch      integer not null default 0,
  tx         xid8 not null default '0',
  pos        bigint not null default 0,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (name, side)
);
create unique index projections_live on projections (name) where live;
