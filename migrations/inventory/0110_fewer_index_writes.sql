-- A movement is only ever looked for by its product: one index less for each line of each order.
alter table movements drop constraint movements_pkey;
drop index movements_product;
alter table movements add constraint movements_pkey primary key (product_id, id);

-- Without `state` in the index's condition, the step of a reservation that never expires (an order's) is a heap-only
-- update.
drop index reservations_expiry;
create index reservations_expiry on reservations (expires_at) where expires_at is not null;
alter table reservations set (fillfactor = 60);
