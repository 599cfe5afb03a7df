-- Deadlines aside. An index on a column of `orders` that every step changes makes each step write the whole row and all its
-- indexes anew; without it a step is a heap-only update within the page, for which half of each page is kept free.
create table order_deadlines (
    -- When to look whether the order still waits: soon after it began, and then when it is overdue.
    look_at  timestamptz not null,
    order_id uuid        not null,
    constraint order_deadlines_pkey primary key (look_at, order_id)
);
insert into order_deadlines (look_at, order_id) select due_at, id from orders where due_at is not null;
drop index orders_due;
alter table orders drop column due_at;
alter table orders set (fillfactor = 45);
