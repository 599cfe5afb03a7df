-- The first answer to each request that carried an Idempotency-Key, written in the transaction of its effect.
create table idempotency_keys (
    principal   uuid        not null,
    key         text        not null,
    fingerprint bytea       not null,
    status      smallint    not null,
    location    text,
    body        bytea       not null,
    created_at  timestamptz not null default now(),
    constraint idempotency_keys_pkey primary key (principal, key)
);
create index idempotency_keys_created_at on idempotency_keys using brin (created_at);
