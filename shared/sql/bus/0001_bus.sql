-- The embedded bus: Pub/Sub's semantics on PostgreSQL. Publishing fans a message out into one row
-- per subscription; the dispatcher takes rows, pushes them and deletes what was acknowledged.

-- Publishing to a topic that is not here fails (as in Pub/Sub): a message sent before the bus was
-- configured, or to a misspelt name, stays in its sender's outbox instead of vanishing.
create table topic (
    name text primary key
);

create table subscription (
    id     int generated always as identity primary key,
    name   text not null unique,
    topic  text not null references topic,
    filter jsonpath  -- over the attributes, compiled from Pub/Sub's filter language; null: all
);
create index on subscription (topic);

create sequence message_id;

create table delivery (
    id           bigint generated always as identity primary key,
    subscription int not null,            -- no foreign key: its lock on the row is what all share
    key          text,                    -- the ordering key; null: no order is kept
    message_id   bigint not null,         -- one per message: equal in all its subscriptions
    data         text not null,           -- base64, as it travels in a push
    attributes   jsonb not null,
    published_at timestamptz not null default now(),
    attempts     int not null default 0,  -- deliveries that failed
    taken        boolean not null default false  -- the dispatcher has it in hand
) with (
    -- A queue's rows live for milliseconds: without eager vacuuming its indexes fill with the dead.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
);
create index delivery_waiting on delivery (subscription, id) where not taken;
-- The rest of a key of which the dispatcher holds only the first messages.
create index delivery_of_key on delivery (subscription, key, id) where key is not null;
