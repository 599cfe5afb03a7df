//! The one statement that writes a batch. Parameters `$1` to `$8` are the chassis's (events, inbox).
//!
//! However many reservations a batch has, each stock row is touched once, by the sum of their changes. Rows are locked
//! in one order before any is changed, so two replicas wait for each other but never in a circle. Changes are deltas,
//! never "set to": what another replica wrote in between is kept, and the table's check decides whether both fit.

use std::sync::LazyLock;

use viscount_chassis::store::statement_returning;

/// Locks every row that is there, in order. `$9 … $12` are the net changes by product and place, in that order.
const LOCKED: &str = "
    select 1 from stock s
    join unnest($9::uuid[], $10::text[]) as d (product_id, location)
        on s.product_id = d.product_id and s.location = d.location
    order by s.product_id, s.location for update of s";

/// Changes rows that must be there. `lowest` is the lesser of what is available before and after.
const CHANGED: &str = "
    update stock s
    set on_hand = s.on_hand + d.on_hand, reserved = s.reserved + d.reserved, version = s.version + 1
    from unnest($9::uuid[], $10::text[], $11::bigint[], $12::bigint[]) as d (product_id, location, on_hand, reserved)
    where s.product_id = d.product_id and s.location = d.location
        and not (d.on_hand > 0 and d.reserved between 0 and d.on_hand)
        and (select count(*) from locked) >= 0
    returning s.product_id, s.location, s.on_hand, s.reserved, s.version,
        s.on_hand - s.reserved - greatest(0, d.on_hand - d.reserved) as lowest";

/// Changes rows that may be new: what comes in may come to a place where nothing was before.
const BROUGHT: &str = "
    insert into stock (product_id, location, on_hand, reserved, version)
    select d.product_id, d.location, d.on_hand, d.reserved, 1
    from unnest($9::uuid[], $10::text[], $11::bigint[], $12::bigint[]) as d (product_id, location, on_hand, reserved)
    where d.on_hand > 0 and d.reserved between 0 and d.on_hand and (select count(*) from locked) >= 0
    order by d.product_id, d.location
    on conflict (product_id, location) do update
    set on_hand = stock.on_hand + excluded.on_hand, reserved = stock.reserved + excluded.reserved,
        version = stock.version + 1
    returning product_id, location, on_hand, reserved, version";

const TOUCHED: &str = "
    select product_id, location, on_hand, reserved, version from changed
    union all select product_id, location, on_hand, reserved, version from brought";

/// The ledger. The version is looked up by the place of the movement's row among the net changes. Rows of one product are
/// written one after the other, in their order: they go to the same page of the index.
const LEDGER: &str = "
    insert into movements
        (product_id, location, kind, reservation_id, delta_on_hand, delta_reserved, version, note)
    select m.product_id, m.location, m.kind, m.reservation_id, m.on_hand, m.reserved, v.versions[m.slot], m.note
    from (select array_agg(version order by product_id, location) as versions from touched) as v,
        unnest($13::uuid[], $14::text[], $15::int[], $16::text[], $17::uuid[], $18::int[], $19::int[], $20::text[])
            with ordinality as m (product_id, location, slot, kind, reservation_id, on_hand, reserved, note, n)
    order by m.product_id, m.n
    returning 1";

const OPENED: &str = "
    insert into reservations (id, of_order, state, version, expires_at, products, places, quantities)
    select u.id, u.of_order, u.state, u.version, u.expires_at, u.products::uuid[], u.places::text[], u.quantities::int[]
    from unnest($21::uuid[], $22::boolean[], $23::text[], $24::int[], $25::timestamptz[], $26::text[], $27::text[],
        $28::text[]) as u (id, of_order, state, version, expires_at, products, places, quantities)
    returning 1";

const STEPPED: &str = "
    update reservations r set state = u.after, version = u.version, updated_at = now(),
        expires_at = case when u.after = 'held' then r.expires_at end,
        products = coalesce(u.products::uuid[], r.products), places = coalesce(u.places::text[], r.places),
        quantities = coalesce(u.quantities::int[], r.quantities)
    from unnest($29::uuid[], $30::text[], $31::text[], $32::int[], $33::text[], $42::text[], $43::text[])
        as u (id, before, after, version, products, places, quantities)
    where r.id = u.id and r.state = u.before
    returning 1";

/// Fails the whole statement (division by zero) unless every row that should have changed did.
const GUARDED: &str = "
    select 1 where 1 / (case
        when (select count(*) from touched) = cardinality($9::uuid[])
            and (select count(*) from stepped) = cardinality($29::uuid[]) then 1 else 0 end) = 1";

const TOLD: &str = "
    insert into announced (product_id, in_stock, low)
    select * from unnest($34::uuid[], $35::boolean[], $36::boolean[])
    on conflict (product_id) do update set in_stock = excluded.in_stock, low = excluded.low
    returning 1";

/// The adjusted products at all places, as this statement leaves them.
const AFTERWARDS: &str = "
    select product_id, location, on_hand, reserved, version from touched where product_id = any($37::uuid[])
    union all
    select s.product_id, s.location, s.on_hand, s.reserved, s.version from stock s
    where s.product_id = any($37::uuid[]) and not exists (
        select 1 from touched t where t.product_id = s.product_id and t.location = s.location)";

/// The answers to adjustments, written out. Names of places need no escaping: they are plain by construction.
const BODIES: &str = r#"
    select a.n, a.principal, a.key, a.fingerprint, convert_to(b.body, 'UTF8') as body
    from unnest($37::uuid[], $38::uuid[], $39::text[], $40::bytea[])
        with ordinality as a (product_id, principal, key, fingerprint, n)
    cross join lateral (
        select format('{"product_id":"%s","on_hand":%s,"reserved":%s,"available":%s,"version":%s,"locations":[%s]}',
            a.product_id, sum(s.on_hand), sum(s.reserved), sum(s.on_hand - s.reserved), sum(s.version),
            string_agg(format('{"location":"%s","on_hand":%s,"reserved":%s}', s.location, s.on_hand, s.reserved),
                ',' order by s.location)) as body
        from afterwards s where s.product_id = a.product_id
    ) as b"#;

const ANSWERED: &str = "
    insert into idempotency_keys (principal, key, fingerprint, status, body)
    select principal, key, fingerprint, 200, body from bodies
    returning 1";

/// Products of which others may now know the wrong thing: `$41` is what counts as little.
const HINTS: &str = "(select array_agg(product_id) from (
    select product_id from changed where lowest <= $41 union select product_id from brought) as hinted)";

const ANSWERS: &str = "(select array_agg(body order by n) from bodies)";

/// The statement. Its one row: position, products to look at (or null), answers to adjustments (or null).
pub(super) static STATEMENT: LazyLock<String> = LazyLock::new(|| {
    let ctes = [
        ("locked", LOCKED),
        ("changed", CHANGED),
        ("brought", BROUGHT),
        ("touched", TOUCHED),
        ("ledger", LEDGER),
        ("opened", OPENED),
        ("stepped", STEPPED),
        ("guarded", GUARDED),
        ("told", TOLD),
        ("afterwards", AFTERWARDS),
        ("bodies", BODIES),
        ("answered", ANSWERED),
    ];
    statement_returning(&ctes, &[HINTS, ANSWERS])
});
