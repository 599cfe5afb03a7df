-- Who holds what until when. A row stays when its lock is free: `token` may only grow, and a row that came back would begin
-- anew. Without an owner the lock is free; with one it is free from `expires_at` on, by this server's clock.
create table locks (
    name        text        constraint locks_name primary key,
    token       bigint      not null check (token > 0),
    owner       text,
    acquired_at timestamptz not null,
    expires_at  timestamptz not null
) with (fillfactor = 70);

create function lock_released() returns trigger language plpgsql as $$
begin
    perform pg_notify('coordination', 'lock:' || new.name);
    return null;
end
$$;
create trigger lock_released
    after update of owner on locks
    for each row when (new.owner is null)
    execute function lock_released();
