-- Statistics of these tables decide nothing: they are read by their keys only. With the usual target, each ANALYZE reads
-- and sorts 30,000 rows with all their bytes, half a second of a core, again and again while a table grows.
alter table events
    alter column position    set statistics 10,
    alter column stream      set statistics 10,
    alter column version     set statistics 10,
    alter column event_id    set statistics 0,
    alter column kind        set statistics 10,
    alter column data        set statistics 0,
    alter column occurred_at set statistics 10,
    alter column traceparent set statistics 0;
alter table inbox
    alter column event_id   set statistics 10,
    alter column handled_at set statistics 10;
alter table idempotency_keys
    alter column principal   set statistics 10,
    alter column key         set statistics 10,
    alter column fingerprint set statistics 0,
    alter column status      set statistics 0,
    alter column location    set statistics 0,
    alter column body        set statistics 0,
    alter column created_at  set statistics 10;
