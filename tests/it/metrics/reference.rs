//! `docs/metrics.md`, made of the lists in the code.

use std::fmt::Write as _;

use viscount_chassis::metrics::Metric;

/// The lists, with what they are lists of.
pub const LISTS: [(&str, &str, &[Metric]); 9] = [
    ("Gateway", "gateway/src/metrics.rs", viscount_gateway::metrics::ALL),
    ("Every service", "chassis/src/metrics.rs", viscount_chassis::metrics::ALL),
    ("Actors", "actors/src/metrics.rs", viscount_chassis::metrics::ACTORS),
    ("Orders", "services/orders/src/metrics.rs", viscount_orders::metrics::ALL),
    ("Inventory", "services/inventory/src/metrics.rs", viscount_inventory::metrics::ALL),
    ("Payments", "services/payments/src/metrics.rs", viscount_payments::metrics::ALL),
    ("Catalog", "services/catalog/src/metrics.rs", viscount_catalog::metrics::ALL),
    ("Identity", "services/identity/src/metrics.rs", viscount_identity::metrics::ALL),
    ("Coordination", "services/coordination/src/metrics.rs", viscount_coordination::metrics::ALL),
];

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    LISTS.into_iter().flat_map(|(.., list)| list)
}

const HEAD: &str = "\
# Metrics

Made of the lists in the code; `UPDATE_DOCS=1 cargo test -p viscount --test it metrics::` makes it anew. What to look at, and
when, is in [operations](operations.md#metrics-to-watch).

`GET /metrics` of the gateway and of each service answers in the text that Prometheus asks for: OpenMetrics 1.0, with
exemplars, where `Accept` names `application/openmetrics-text`, else the older text format 0.0.4. Both have the same series.

- Services that share a process, as in `viscount up`, share its metrics: any one port shows them all, so scrape one; the
  gateway's will do. The label `service` tells them apart. With a process for each service, scrape each.
- A counter whose labels take values that are all known is there from the start, at 0 ([ADR 0037](adr/0037-counters-exist-before-they-count.md));
  one with a status code, a kind of message or the like from when it first counted. In a query that must not be empty:
  `… or vector(0)`.
- No label ever holds an id, a path or anything else that a client can make up: the number of series is bounded by the code
  and its configuration.
- Bounds of buckets are written as OpenMetrics wants it, in both formats: `le=\"5.0\"`, not `le=\"5\"`. Those of
  seconds are 0.5, 1, 2.5, 5, 10, 25, 50, 100, 200, 250 and 500 milliseconds, and 1, 2.5, 5, 10 and 30 seconds; those of
  everything else powers of two up to 1,024, then 4,096, 16,384 and 65,536.
- An exemplar is the id of the trace of the latest request in its bucket, while traces are exported.
- Who asks gets what is true then or a moment later. All who ask at the same time are answered together, and after each
  answer comes a rest of twenty times what it took (three seconds at the most): scraping takes a twentieth of a core at the
  most, however many scrape. See `metrics_render_seconds`.
";

/// The document.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for (title, file, list) in LISTS {
        write!(text, "\n## {title}\n\n`{file}`\n\n| metric | kind | meaning |\n|---|---|---|\n").unwrap();
        for metric in list {
            let labels = metric.labels.iter().map(|label| label.0).collect::<Vec<_>>().join(",");
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let unit = match metric.unit() {
                "" => String::new(),
                unit => format!(", {}", unit.replace('_', " ")),
            };
            let (name, kind, help) = (metric.name, metric.kind.name(), metric.help);
            writeln!(text, "| `{name}{labels}` | {kind}{unit} | {help} |").unwrap();
        }
        let mut labels: Vec<_> = list.iter().flat_map(|metric| metric.labels).collect();
        // By meaning too, so that the same ones are neighbours.
        labels.sort_by_key(|label| (label.0, label.1));
        labels.dedup();
        if labels.is_empty() {
            continue;
        }
        text.push_str("\n| label | of | values |\n|---|---|---|\n");
        for label in labels {
            let of: Vec<_> = list.iter().filter(|metric| metric.labels.contains(label)).collect();
            let of = match of[..] {
                [only] => format!("`{}`", only.name),
                _ if of.len() > 3 => format!("{} of them", of.len()),
                _ => of.iter().map(|metric| format!("`{}`", metric.name)).collect::<Vec<_>>().join(", "),
            };
            writeln!(text, "| `{}` | {of} | {} |", label.0, label.1).unwrap();
        }
    }
    text
}
