//! I5: in every stream versions are 1, 2, 3, …, in the order in which they were committed; no version is there twice; event
//! ids are unique in the whole platform; and so are the versions of the stock's rows.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;
use viscount_contracts::Topic;

use super::{
    dataset::Dataset,
    facts::Facts,
    verdict::{Findings, Promise, wrong},
};

pub(super) fn check(data: &Dataset, facts: &Facts<'_>, found: &mut Findings) {
    for (service, stream, events) in facts.streams() {
        one(data, service, stream, events, found);
    }
    let mut seen: HashMap<Uuid, usize> = HashMap::with_capacity(data.events.len());
    for (at, event) in data.events.iter().enumerate() {
        if let Some(first) = seen.insert(event.id, at) {
            let what = format!("event id {} is there twice", event.id);
            found.add(Promise::I5, wrong(what).order(event.stream).events([first, at]));
        }
    }
    stock(data, found);
}

fn one(data: &Dataset, service: Topic, stream: Uuid, events: &[usize], found: &mut Findings) {
    let named = |what: String| wrong(what).order(stream);
    let mut expected = 1;
    for (place, at) in events.iter().enumerate() {
        let version = data.events[*at].version;
        if version == expected {
            expected += 1;
            continue;
        }
        let before = events[..place].iter().copied().find(|at| data.events[*at].version == version);
        let name = service.service();
        let finding = match before {
            Some(first) => {
                named(format!("{name}: version {version} of {stream} is there twice: a fork")).events([first])
            }
            None => named(format!("{name}: version {version} of {stream} where {expected} should be")),
        };
        found.add(Promise::I5, finding.events([*at]));
        expected = expected.max(version + 1);
    }
}

/// Each version of a stock row has its movements, and the row has the last one.
fn stock(data: &Dataset, found: &mut Findings) {
    let mut versions: BTreeMap<(Uuid, &str), Vec<i64>> = BTreeMap::new();
    for movement in &data.movements {
        versions.entry((movement.product, &movement.location)).or_default().push(movement.version);
    }
    let mut rows: BTreeMap<(Uuid, &str), i64> =
        data.stock.iter().map(|row| ((row.product, row.location.as_str()), row.version)).collect();
    for ((product, location), mut versions) in versions {
        versions.sort_unstable();
        versions.dedup();
        let row = rows.remove(&(product, location)).unwrap_or(0);
        if (1..).zip(&versions).any(|(wanted, version)| wanted != *version)
            || versions.last().copied() != Some(row)
        {
            let what = format!(
                "product {product} at {location}: its row has version {row}, its movements {} versions up to {}",
                versions.len(),
                versions.last().copied().unwrap_or(0)
            );
            found.add(Promise::I5, wrong(what));
        }
    }
    for ((product, location), version) in rows {
        let what =
            format!("product {product} at {location}: its row has version {version}, and nothing was moved");
        found.add(Promise::I5, wrong(what));
    }
}
