-- One row for each login, however often its refresh token has been renewed since. The token names the row by `id` and
-- proves itself by what hashes to `token_hash`: whoever names the row with anything else shows a token that was
-- renewed before, which ends the session.
create table sessions (
    id          uuid        constraint sessions_id primary key,
    user_id     uuid        not null references users (id) on delete cascade,
    token_hash  bytea       not null check (octet_length(token_hash) = 32),
    renewals    integer     not null default 0,
    created_at  timestamptz not null,
    expires_at  timestamptz not null,
    ends_at     timestamptz not null,
    revoked_at  timestamptz,
    revoked_for text check (revoked_for in ('logout', 'reuse')),
    check (expires_at <= ends_at),
    check ((revoked_at is null) = (revoked_for is null))
) with (fillfactor = 70);
create index sessions_user on sessions (user_id);
create index sessions_expires_at on sessions (expires_at);

-- Programs that get tokens for themselves (client credentials). Secrets are long and random, so that a plain
-- SHA-256 of them gives nothing away.
create table clients (
    client_id   text        constraint clients_id primary key,
    subject     uuid        not null constraint clients_subject unique,
    secret_hash bytea       not null check (octet_length(secret_hash) = 32),
    roles       text[]      not null,
    created_at  timestamptz not null default now()
);
