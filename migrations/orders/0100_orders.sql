-- What reads and lists are answered from; written in the transaction of the events that change it.
create table orders (
    id          uuid        primary key,
    customer_id uuid        not null,
    status      text        not null,
    version     integer     not null,
    total       bigint      not null check (total >= 0),
    currency    text        not null,
    refunded    bigint      not null default 0 check (refunded >= 0),
    -- The lines as JSON, fixed when the order is created.
    lines       text        not null,
    -- Why it ended badly, as JSON.
    reason      text,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    -- When a waiting state has waited long enough.
    due_at      timestamptz
) with (fillfactor = 70);
create index orders_customer on orders (customer_id, id desc);
create index orders_due on orders (due_at) where due_at is not null;

-- The catalogue as this service knows it, from catalogue events.
create table price_book (
    product_id uuid    primary key,
    sku        text    not null,
    name       text    not null,
    amount     bigint  not null,
    currency   text    not null,
    on_sale    boolean not null,
    version    integer not null
);

-- One-time admission to an order's stream, for clients that cannot set headers on a websocket.
create table stream_tickets (
    ticket     bytea       primary key,
    order_id   uuid        not null,
    expires_at timestamptz not null
);
create index stream_tickets_expires_at on stream_tickets (expires_at);
