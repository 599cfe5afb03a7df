-- The tables of a conventional order service: one row for each thing, and one for each of its events.

create table orders (
    id          bigint generated always as identity primary key,
    customer_id bigint not null,
    product_id  bigint not null,
    quantity    int not null check (quantity > 0),
    total       bigint not null check (total >= 0),
    status      text not null,
    version     int not null default 1,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);
-- Every shop lists a customer's orders.
create index orders_of_customer on orders (customer_id, id);

create table order_events (
    order_id    bigint not null,
    version     int not null,
    type        text not null,
    data        jsonb not null,
    occurred_at timestamptz not null default now(),
    primary key (order_id, version)
);

create table stock (
    product_id bigint primary key,
    on_hand    bigint not null check (on_hand >= 0),
    reserved   bigint not null default 0 check (reserved between 0 and on_hand),
    version    bigint not null default 1
);

create table reservations (
    order_id   bigint primary key,
    product_id bigint not null,
    quantity   int not null,
    status     text not null default 'held'
);

create table stock_events (
    id          bigint generated always as identity primary key,
    product_id  bigint not null,
    order_id    bigint not null,
    type        text not null,
    data        jsonb not null,
    occurred_at timestamptz not null default now()
);

create table payments (
    id       bigint generated always as identity primary key,
    order_id bigint not null unique,
    amount   bigint not null,
    status   text not null,
    paid_at  timestamptz not null default now()
);

create table payment_events (
    id          bigint generated always as identity primary key,
    order_id    bigint not null,
    type        text not null,
    data        jsonb not null,
    occurred_at timestamptz not null default now()
);

insert into stock (product_id, on_hand) select id, 1000000000 from generate_series(1, 5000) id;

vacuum analyze;
