-- A reservation's lines are written once, with it, and read only with it: they are columns of its row now, entry by entry,
-- and no longer a row and an index entry each.
alter table reservations
    add column products   uuid[]              not null default '{}',
    add column places     text[] collate "C"  not null default '{}',
    add column quantities integer[]           not null default '{}' check (0 < all (quantities)),
    add constraint reservations_lines check (cardinality(products) = cardinality(places)
        and cardinality(products) = cardinality(quantities));
update reservations r set products = l.products, places = l.places, quantities = l.quantities
from (select reservation_id, array_agg(product_id order by product_id, location) as products,
        array_agg(location order by product_id, location) as places,
        array_agg(quantity order by product_id, location) as quantities
    from reservation_lines group by reservation_id) as l
where l.reservation_id = r.id;
drop table reservation_lines;
create view reservation_lines as
    select r.id as reservation_id, l.product_id, l.location, l.quantity
    from reservations r cross join unnest(r.products, r.places, r.quantities) as l (product_id, location, quantity);
