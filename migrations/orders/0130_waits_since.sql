-- Since when an order has had its status, by this database's clock: deadlines are counted from it, so that the clocks of
-- replicas do not matter. Nothing for readers, and nothing that events tell.
alter table orders add column waits_since timestamptz not null default now();
update orders set waits_since = updated_at where status in ('created', 'validated', 'paid');
