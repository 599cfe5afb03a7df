-- One order of one line from its creation to its completion, as four transactions of single rows: what services do that
-- commit each step by itself. One run of this script is one order.

\set customer random(1, 1000)
\set product random(1, 5000)
\set quantity random(1, 3)
\set total 1999 * :quantity

begin;
insert into orders (customer_id, product_id, quantity, total, status)
    values (:customer, :product, :quantity, :total, 'created') returning id as order_id \gset
insert into order_events (order_id, version, type, data)
    values (:order_id, 1, 'created', jsonb_build_object('customer_id', :customer::bigint, 'product_id', :product::bigint, 'quantity', :quantity::bigint, 'total', :total::bigint, 'currency', 'GBP'));
commit;

begin;
update stock set reserved = reserved + :quantity, version = version + 1
    where product_id = :product and on_hand - reserved >= :quantity;
insert into reservations (order_id, product_id, quantity) values (:order_id, :product, :quantity);
insert into stock_events (product_id, order_id, type, data)
    values (:product, :order_id, 'reserved', jsonb_build_object('quantity', :quantity::bigint));
commit;

begin;
insert into payments (order_id, amount, status) values (:order_id, :total, 'captured');
insert into payment_events (order_id, type, data)
    values (:order_id, 'processed', jsonb_build_object('amount', :total::bigint, 'currency', 'GBP'));
commit;

begin;
update orders set status = 'completed', version = version + 1, updated_at = now() where id = :order_id;
insert into order_events (order_id, version, type, data)
    values (:order_id, 2, 'completed', jsonb_build_object('total', :total::bigint, 'currency', 'GBP'));
commit;
