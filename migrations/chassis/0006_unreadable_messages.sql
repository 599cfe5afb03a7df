-- Messages of a topic in which this program finds no event: as they came. Nobody knows their key for sure, so nothing waits
-- behind them. `id` is made of the message itself: the same one that comes again is found here.
create table unreadable_messages (
    consumer       text        not null,
    id             uuid        not null,
    topic          text        not null,
    partition      integer     not null,
    message_offset bigint      not null,
    key            bytea,
    value          bytea,
    -- [{"name": …, "value": base64 or null}, …], in the order of the message. A name that is no text is null.
    headers        jsonb       not null,
    produced_at    timestamptz,
    bytes          bigint      not null,
    state          text        not null check (state in ('dead', 'redriving')),
    attempts       integer     not null,
    error          text        not null,
    errors         jsonb       not null,
    recorded_at    timestamptz not null default now(),
    published_at   timestamptz,
    primary key (consumer, id)
);
create index unreadable_messages_unpublished on unreadable_messages (recorded_at) where published_at is null and state = 'dead';

-- Every try that failed, and whether the letter is on its topic, where there are brokers.
alter table dead_letters
    add column errors       jsonb       not null default '[]',
    add column published_at timestamptz;
create index dead_letters_unpublished on dead_letters (recorded_at) where published_at is null and state = 'dead';
