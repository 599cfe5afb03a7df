-- What is in the house, per product and place. The check is the last line of defence: whatever a replica believes,
-- the database lets nobody reserve what is not there.
create table stock (
    product_id uuid    not null,
    location   text    collate "C" not null,
    on_hand    integer not null,
    reserved   integer not null,
    version    bigint  not null,
    primary key (product_id, location),
    constraint stock_bounds check (0 <= reserved and reserved <= on_hand and on_hand <= 1000000000)
) with (fillfactor = 50);

-- The ledger: append only, its sums are the stock. `version` is that of the stock row after the movement's batch.
create table movements (
    id             bigint      generated always as identity primary key,
    product_id     uuid        not null,
    location       text        collate "C" not null,
    kind           text        not null
        check (kind in ('receipt', 'correction', 'damage', 'return', 'reserve', 'release', 'sell')),
    reservation_id uuid,
    delta_on_hand  integer     not null,
    delta_reserved integer     not null,
    version        bigint      not null,
    note           text,
    occurred_at    timestamptz not null default now(),
    constraint movements_of_a_reservation check ((kind in ('reserve', 'release', 'sell')) = (reservation_id is not null))
);
create index movements_product on movements (product_id, id);

-- Each reservation once, also those that were refused, and those of which only the end was heard (version 0): a late
-- beginning then holds nothing.
create table reservations (
    id         uuid        not null,
    of_order   boolean     not null,
    state      text        not null
        check (state in ('held', 'sold', 'released', 'expired', 'rejected', 'sale_noted')),
    version    integer     not null,
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint reservations_pkey primary key (id)
) with (fillfactor = 80);
create index reservations_expiry on reservations (expires_at) where state = 'held' and expires_at is not null;

-- What a reservation holds where.
create table reservation_lines (
    reservation_id uuid    not null,
    product_id     uuid    not null,
    location       text    collate "C" not null,
    quantity       integer not null check (quantity > 0),
    primary key (reservation_id, product_id, location)
);

-- What was last told about a product: whether there is any, whether there is little. A product that is not here was
-- never spoken of: there is none of it.
create table announced (
    product_id uuid    primary key,
    in_stock   boolean not null,
    low        boolean not null
) with (fillfactor = 80);
