-- How far the events are on the brokers, where a broker carries them: everything up to `position` is acknowledged by
-- `cluster`. One replica publishes at a time; `epoch` tells it from its predecessors, `released` says that the last one
-- left nothing on its way.
create table log_relay (
    only_row boolean primary key default true check (only_row),
    position bigint  not null,
    epoch    bigint  not null,
    released boolean not null,
    cluster  text
) with (fillfactor = 10);
insert into log_relay (position, epoch, released) values (0, 0, true);
