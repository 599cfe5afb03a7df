-- A product as it is now. The events tell how it came to be so; this row is written in their transaction.
create table products (
    product_id  uuid        primary key,
    -- The version of the newest event of its stream: what the next event builds on.
    version     integer     not null check (version > 0),
    -- The version of the newest event that changed what an editor edits: the ETag. Selling out does not move it.
    revision    integer     not null check (revision > 0 and revision <= version),
    sku         text        not null,
    name        text        not null,
    -- The beginning of the name in lower case, ordered by code point: the same order in every database, whatever its
    -- locale. Only the beginning, so that a list's cursor, which carries it, stays short.
    name_key    text        collate "C" not null,
    -- Empty texts mean: none.
    description text        not null,
    category    text        not null,
    brand       text        not null,
    price       bigint      not null check (price > 0),
    currency    text        not null check (currency ~ '^[A-Z]{3}$'),
    attributes  jsonb       not null check (jsonb_typeof(attributes) = 'object'),
    archived    boolean     not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    -- What search finds by word. Words of the name weigh most, those of the description least. Punctuation is taken for
    -- space: PostgreSQL would read "Ski/boarding" as the name of a file and "adventures.These" as that of a host.
    words       tsvector    not null generated always as (
        setweight(to_tsvector('english', translate(name,
            '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32))), 'A')
        || setweight(to_tsvector('english', translate(brand || ' ' || category,
            '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32))), 'B')
        || setweight(to_tsvector('english', translate(attributes::text,
            '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32))), 'C')
        || setweight(to_tsvector('english', translate(description,
            '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32))), 'D')
    ) stored,
    constraint products_sku unique (sku)
) with (fillfactor = 90);

create index products_by_newest on products (product_id) where not archived;
create index products_by_name on products (name_key, product_id) where not archived;
create index products_by_price on products (price, product_id) where not archived;
create index products_by_category on products (category, price, product_id) where not archived;
create index products_by_brand on products (brand, price, product_id) where not archived;
-- A short list of entries not yet sorted in: every search reads all of it.
create index products_words on products using gin (words) with (gin_pending_list_limit = 256) where not archived;

-- How many products are listed in each category. Counted on the way in, so that nobody counts on the way out.
create table categories (
    category text   collate "C" primary key,
    products bigint not null check (products >= 0)
) with (fillfactor = 50);

-- Every word that a product was ever described with, and its three-letter pieces: what a misspelt word of a search is
-- compared with. Words, not products: there are few of them, however large the catalogue. A word that no product has
-- any more does no harm.
create table search_words (
    word     text   collate "C" primary key,
    trigrams text[] not null
);
create index search_words_trigrams on search_words using gin (trigrams) with (fastupdate = off);

-- The newest that inventory told of each product, also of products that are not known here (yet). A row of its own:
-- stock changes often, and must not touch the indexes of the product.
create table availability (
    product_id uuid    primary key,
    available  bigint  not null check (available >= 0),
    -- The version of inventory's event; an older one that comes later changes nothing.
    version    integer not null
) with (fillfactor = 50);
