-- What every service database has: the events it publishes, what it has handled, where its consumers stand.

-- The events are the truth, the audit trail and the outbox in one. `position` counts 1, 2, 3, … without a gap:
-- it is taken from log_head, whose row stays locked until the writing transaction has ended, so a reader can
-- never see position n + 1 while n may still appear.
create table events (
    position    bigint      primary key,
    stream      uuid        not null,
    version     integer     not null check (version > 0),
    event_id    uuid        not null,
    kind        text        not null,
    data        bytea       not null,
    occurred_at timestamptz not null,
    traceparent text,
    constraint events_stream_version unique (stream, version)
);

create table log_head (
    only_row boolean primary key default true check (only_row),
    position bigint  not null
) with (fillfactor = 10);
insert into log_head (position) values (0);

-- An event of another service whose effect is in this database. Written in the transaction of the effect.
create table inbox (
    event_id   uuid        constraint inbox_event primary key,
    handled_at timestamptz not null default now()
);
create index inbox_handled_at on inbox using brin (handled_at);

-- How far each consumer has come: everything up to `position` is done.
create table consumer_offsets (
    consumer text   not null,
    topic    text   not null,
    position bigint not null,
    primary key (consumer, topic)
) with (fillfactor = 50);

-- Events that could not be handled, and those of the same key that came after them and wait behind.
create table dead_letters (
    consumer    text        not null,
    event_id    uuid        not null,
    topic       text        not null,
    position    bigint      not null,
    key         uuid        not null,
    version     integer     not null,
    kind        text        not null,
    data        bytea       not null,
    occurred_at timestamptz not null,
    traceparent text,
    state       text        not null check (state in ('dead', 'parked')),
    attempts    integer     not null,
    error       text        not null,
    recorded_at timestamptz not null default now(),
    primary key (consumer, event_id)
);
create index dead_letters_key on dead_letters (consumer, key, position);
