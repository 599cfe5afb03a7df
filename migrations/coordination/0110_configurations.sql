-- The settings of each service, as text of JSON; `all` is for everyone.
create table configurations (
    service    text        constraint configurations_service primary key,
    version    integer     not null check (version > 0),
    settings   text        not null,
    updated_at timestamptz not null,
    updated_by uuid        not null
) with (fillfactor = 70);

-- What they were.
create table configuration_history (
    service    text        not null,
    version    integer     not null,
    settings   text        not null,
    updated_at timestamptz not null,
    updated_by uuid        not null,
    constraint configuration_history_version primary key (service, version)
);

create function configuration_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('coordination', 'configuration:' || new.service);
    return null;
end
$$;
create trigger configuration_changed
    after insert or update on configurations
    for each row execute function configuration_changed();
