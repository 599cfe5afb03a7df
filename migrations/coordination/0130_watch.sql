-- When somebody last looked for leases that are over. While nobody could look, nobody could renew either: such a time does not
-- count against anyone.
create table lease_watch (
    only_row  boolean     primary key default true check (only_row),
    looked_at timestamptz not null default now()
) with (fillfactor = 10);
insert into lease_watch default values;
