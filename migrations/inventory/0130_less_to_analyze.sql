-- Nobody searches for them, and ANALYZE would read them all.
alter table reservations
    alter column products   set statistics 0,
    alter column places     set statistics 0,
    alter column quantities set statistics 0;
alter table movements
    alter column note           set statistics 0,
    alter column reservation_id set statistics 0;
