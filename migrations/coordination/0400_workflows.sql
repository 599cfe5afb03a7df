-- One row an order: what all services said of it. Made of events, and made anew from them at any time, so its commits need
-- not reach the disk at once. Each of the three streams (orders, inventory, payments) has the version that was seen last, its
-- last answer and its entries; see services/coordination/src/workflows/timeline.rs for their bytes.
create table workflows (
    order_id         uuid        not null,
    -- 0 unknown, 1 created, 2 validated, 3 paid, 4 completed, 5 rejected, 6 cancelled
    status           smallint    not null,
    refunds_open     integer     not null,
    waiting_since    timestamptz not null,
    started_at       timestamptz not null,
    updated_at       timestamptz not null,
    orders_seen      integer     not null,
    inventory_seen   integer     not null,
    payments_seen    integer     not null,
    inventory_answer smallint    not null,
    payments_answer  smallint    not null,
    trace_id         uuid,
    total            bigint,
    refunded         bigint      not null,
    open             boolean     not null generated always as (status in (1, 2, 3) or refunds_open > 0) stored,
    orders_line      bytea       not null,
    inventory_line   bytea       not null,
    payments_line    bytea       not null,
    constraint workflows_pkey primary key (order_id)
) with (fillfactor = 80);
-- Few at any time. Ids are in the order of time, so the oldest come first.
create index workflows_open on workflows (order_id) where open;
-- Nobody searches for them, and ANALYZE would read them all.
alter table workflows
    alter column orders_line    set statistics 0,
    alter column inventory_line set statistics 0,
    alter column payments_line  set statistics 0,
    alter column trace_id       set statistics 0;
