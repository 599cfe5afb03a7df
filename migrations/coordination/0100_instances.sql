-- What runs, as it said itself. A row is there from registration until the instance has left or its lease has expired;
-- what became of it is told by the events. All times are this server's.
create table instances (
    instance_id   uuid        constraint instances_id primary key,
    -- That of the newest event of the instance's stream.
    version       integer     not null,
    service       text        not null,
    address       text        not null,
    build         text        not null,
    metadata      text        not null,
    lease_seconds integer     not null check (lease_seconds between 5 and 300),
    registered_at timestamptz not null,
    expires_at    timestamptz not null,
    -- The lease was found expired: the instance may not renew it any more, and its end is about to be told.
    expired       boolean     not null default false,
    health        text        not null default 'unknown' check (health in ('unknown', 'healthy', 'unhealthy')),
    health_since  timestamptz not null,
    -- How often in a row it did not answer well.
    failures      integer     not null default 0,
    -- What it answered last, and when.
    checks        text,
    checked_at    timestamptz,
    probe_at      timestamptz not null
) with (fillfactor = 70);
create index instances_service on instances (service, instance_id);

-- Whoever waits for a change, at whichever replica, is woken. Renewing a lease and a check that found nothing new are no
-- change.
create function instances_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('coordination', 'instances');
    return null;
end
$$;
create trigger instances_changed
    after insert or delete or update of version on instances
    for each row execute function instances_changed();
