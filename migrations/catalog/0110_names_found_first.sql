-- The words of the names alone: of a word that very many products have, those with it in their name are looked at first.
create index products_names on products using gin (to_tsvector('english', translate(name,
    '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32)))) with (gin_pending_list_limit = 256) where not archived;

-- What fits, and how well. Ranking reads each product that fits, and a common word fits a third of a catalogue; so at
-- most so many are ranked of those that fit by their name, and when these are fewer than that, as many again of those
-- that fit at all. Bitmap scans alone: whatever the planner believes of a word, the same products are looked at again
-- when the next page is asked for.
create function products_that_fit(query tsquery, parts tsquery[], most integer)
returns table (product_id uuid, rank real)
language sql stable
set enable_seqscan = off
set enable_indexscan = off
as $$
    with named as materialized (
        select p.product_id, p.words from products p
        where not p.archived and to_tsvector('english', translate(p.name,
            '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32))) @@ query
        limit most
    ), others as materialized (
        select p.product_id, p.words from products p
        where not p.archived and p.words @@ query and (select count(*) from named) < most
        limit most
    )
    select f.product_id, (ts_rank(f.words, query, 1)
        + (select count(*) from unnest(parts) as part where f.words @@ part))::real
    from (
        select n.product_id, n.words from named n
        union all
        select o.product_id, o.words from others o
        where not exists (select from named n where n.product_id = o.product_id)
    ) f
$$;
