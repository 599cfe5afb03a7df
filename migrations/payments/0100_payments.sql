-- A payment as it is now. The events tell how it came to be so; this row is written in their transaction.
-- One order is paid once: the payment carries the order's own id.
create table payments (
    order_id           uuid        primary key,
    -- Unknown for an order that was cancelled before it was ever to be paid.
    customer_id        uuid,
    -- expected: only evidence, such as a refund that was asked for before the payment is known.
    status             text        not null check (status in ('expected', 'voided', 'pending', 'captured', 'failed')),
    version            integer     not null check (version > 0),
    amount             bigint,
    currency           text        check (currency ~ '^[A-Z]{3}$'),
    captured           bigint      not null check (captured >= 0),
    refunded           bigint      not null check (refunded >= 0),
    provider_reference text,
    failure_code       text,
    failure_detail     text,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    constraint payments_never_more_returned_than_taken check (refunded <= captured),
    constraint payments_amount_is_money check ((amount is null) = (currency is null)),
    constraint payments_captured_has_reference check (status <> 'captured' or provider_reference is not null)
) with (fillfactor = 90);

-- One act of returning money; its id has its effect once.
create table refunds (
    refund_id          uuid        primary key,
    order_id           uuid        not null,
    state              text        not null check (state in ('open', 'done', 'failed')),
    amount             bigint      not null,
    currency           text        not null check (currency ~ '^[A-Z]{3}$'),
    provider_reference text,
    failure_code       text,
    failure_detail     text,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    constraint refunds_done_is_positive check (state <> 'done' or (amount > 0 and provider_reference is not null))
);
create index refunds_by_order on refunds (order_id);

-- Money moved, in double entry: every transaction (named by the event that tells of it) has two postings or more, and
-- they sum to zero. Append only.
create table ledger (
    transaction_id uuid        not null,
    account        text        not null check (account in ('provider_balance', 'sales', 'refunds')),
    order_id       uuid        not null,
    -- Debit above zero, credit below.
    amount         bigint      not null check (amount <> 0),
    currency       text        not null,
    posted_at      timestamptz not null,
    primary key (transaction_id, account)
);

create function ledger_balances() returns trigger language plpgsql as $$
begin
    if exists (select from posted group by transaction_id, currency having sum(amount) <> 0) then
        raise exception 'a ledger transaction does not sum to zero'
            using errcode = 'check_violation', constraint = 'ledger_sums_to_zero';
    end if;
    return null;
end $$;
-- Once per statement: all postings of a transaction are written by one.
create trigger ledger_sums_to_zero after insert on ledger
    referencing new table as posted for each statement execute function ledger_balances();

create function ledger_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append only'
        using errcode = 'check_violation', constraint = 'ledger_append_only';
end $$;
create trigger ledger_append_only before update or delete on ledger
    for each statement execute function ledger_is_append_only();

-- Questions to the provider whose answer is not known. Each is asked again when it is due, until it is.
create table open_calls (
    -- The idempotency key towards the provider: the order's id for its charge, the refund's own for a refund.
    call_key  uuid        primary key,
    order_id  uuid        not null,
    kind      text        not null check (kind in ('charge', 'refund')),
    due_at    timestamptz not null,
    attempts  integer     not null,
    opened_at timestamptz not null
) with (fillfactor = 70);
create index open_calls_due on open_calls (due_at);

-- Webhooks that have had their effect.
create table webhook_events (
    provider    text        not null,
    event_id    text        not null,
    received_at timestamptz not null,
    constraint webhook_events_once primary key (provider, event_id)
);
