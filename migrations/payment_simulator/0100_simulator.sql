-- The simulated payment provider's own books. What it has charged, it remembers, whoever dies.

-- One order over charges and refunds, for auditors; also what their public ids are made of.
create sequence ledger_sequence;

create table charges (
    sequence        bigint      primary key default nextval('ledger_sequence'),
    idempotency_key text        not null constraint charges_key unique,
    amount          bigint      not null check (amount > 0),
    currency        text        not null,
    source          text        not null,
    captured        boolean     not null,
    status          text        not null check (status in ('succeeded', 'failed')),
    failure_code    text,
    failure_message text,
    amount_refunded bigint      not null default 0 check (amount_refunded >= 0),
    -- JSON, kept as it came.
    metadata        text        not null,
    created_at      timestamptz not null,
    constraint charges_refunds_fit check (amount_refunded <= amount)
) with (fillfactor = 90);

create table refunds (
    sequence        bigint      primary key default nextval('ledger_sequence'),
    idempotency_key text        not null constraint refunds_key unique,
    charge          bigint      not null references charges,
    amount          bigint      not null check (amount > 0),
    currency        text        not null,
    metadata        text        not null,
    created_at      timestamptz not null
);

-- Webhooks that nobody has taken yet.
create table deliveries (
    event_id text        primary key,
    kind     text        not null check (kind in ('charge', 'refund')),
    sequence bigint      not null,
    due_at   timestamptz not null,
    attempts integer     not null
) with (fillfactor = 70);
create index deliveries_due on deliveries (due_at);
