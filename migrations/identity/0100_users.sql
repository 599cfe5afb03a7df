-- Who may log in. `email` is as the user wrote it, `email_key` the same in lower case: one account per address.
create table users (
    id            uuid        constraint users_id primary key,
    email         text        not null,
    email_key     text        not null constraint users_email unique,
    name          text        not null,
    password_hash text        not null,
    roles         text[]      not null,
    created_at    timestamptz not null
);

-- The one administrator that the first start makes. Until `announced_at` is set nobody knows the password, and the
-- next start makes another one.
create table first_start (
    only_row     boolean     constraint first_start_once primary key default true check (only_row),
    admin_id     uuid        not null references users (id),
    announced_at timestamptz
);
