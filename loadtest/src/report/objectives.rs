//! Objectives: a figure's name and what it has to be. They decide the exit status.
//!
//! ```toml
//! [phase.objectives]
//! "order.p99_ms" = 50              # at most
//! "orders.per_second" = 1_000      # at least
//! "created_to_final.p99_ms" = 250
//! ```
//!
//! Which way a figure has to go is in its nature: rates, shares of what is good and counts of what is wanted have to be at
//! least this, everything else at most. What a run did not measure is not kept.

use std::collections::BTreeMap;

use super::model::{Operation, Phase, Quantiles, Verdict};
use crate::{measure::recorder::OPERATIONS, profile::check::instead};

/// Quantiles of times.
const QUANTILES: [&str; 7] = ["p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms", "mean_ms"];
/// Figures of an operation or of all requests, besides times.
const COUNTS: [&str; 7] = [
    "per_second",
    "good_share",
    "failed",
    "failed_share",
    "refused",
    "refused_share",
    "refused_without_time",
];
/// Figures of the orders.
const ORDERS: [&str; 11] = [
    "per_second",
    "per_second_accepted",
    "completed",
    "completed_share",
    "rejected",
    "lost",
    "late",
    "not_final",
    "repeated",
    "unknown",
    "of_peak",
];
/// Figures of the streams.
const STREAMS: [&str; 2] = ["most", "messages"];
/// Figures of the components.
const COMPONENTS: [&str; 3] = ["cpu_us_per_order", "memory_mib_max", "memory_mib_growth"];
/// Ratios to the baseline: judged when it was measured.
const RATIOS: [&str; 2] = ["order_flow", "hot_row"];
/// An accepted order is kept, and comes to its end: this need not be asked for.
const ALWAYS: [&str; 4] = ["orders.lost", "orders.late", "orders.not_final", "orders.repeated"];

/// Whether there can be such a figure; if not, what there is instead.
pub fn check(name: &str) -> Result<(), String> {
    if name.strip_prefix("figures.").is_some_and(|figure| !figure.is_empty()) {
        return Ok(());
    }
    let (of, figure) = name.rsplit_once('.').ok_or_else(|| {
        format!("an objective is named `<what>.<figure>`, such as order.p99_ms or orders.per_second, and not {name}")
    })?;
    let list = |figures: &[&str]| figures.join(", ");
    let known = match of {
        "orders" => ORDERS.as_slice(),
        "streams" => STREAMS.as_slice(),
        "ratio" => RATIOS.as_slice(),
        "refusal" | "created_to_final" | "delivery" => QUANTILES.as_slice(),
        of if of.starts_with("components.") => COMPONENTS.as_slice(),
        of if of != "requests" && !OPERATIONS.contains(&of) => {
            let there_are: Vec<&str> = OPERATIONS.into_iter().chain(["requests"]).collect();
            return Err(format!("{name}: there is no request {of}{}", instead(of, &there_are)));
        }
        _ if QUANTILES.contains(&figure) || COUNTS.contains(&figure) => return Ok(()),
        _ => {
            return Err(format!(
                "{name}: there is no figure {figure}; there are: {}, {}",
                list(&QUANTILES),
                list(&COUNTS)
            ));
        }
    };
    if known.contains(&figure) {
        Ok(())
    } else {
        Err(format!("{name}: there is no figure {figure}; there are: {}", list(known)))
    }
}

/// Ratios are judged with the baseline, everything else with its phase.
pub fn is_ratio(name: &str) -> bool {
    name.starts_with("ratio.")
}

/// Judges a phase by what was wanted, and by what is always wanted.
pub fn judge(phase: &Phase, wanted: &BTreeMap<String, f64>) -> Vec<Verdict> {
    let always = ALWAYS.iter().filter(|name| !wanted.contains_key(**name) && phase.orders.accepted > 0);
    let always = always.map(|name| ((*name).to_owned(), 0.0));
    let wanted =
        wanted.iter().filter(|(name, _)| !is_ratio(name)).map(|(name, wanted)| (name.clone(), *wanted));
    wanted.chain(always).map(|(name, wanted)| verdict(&name, wanted, figure(phase, &name))).collect()
}

/// What always has to be, and is: it need not be shown one by one.
pub fn goes_without_saying(verdict: &Verdict) -> bool {
    verdict.kept && verdict.wanted == 0.0 && ALWAYS.contains(&verdict.objective.as_str())
}

/// Said instead of each of these.
pub const WITHOUT_SAYING: &str = "no order was lost, late, left unfinished or made by two requests";

/// One verdict.
pub fn verdict(name: &str, wanted: f64, measured: Option<f64>) -> Verdict {
    let kept = match measured {
        Some(measured) if at_least(name) => measured >= wanted,
        Some(measured) => measured <= wanted,
        None => false,
    };
    Verdict { objective: name.to_owned(), wanted, measured, kept }
}

/// Whether more is better.
pub fn at_least(name: &str) -> bool {
    let figure = name.rsplit('.').next().unwrap_or(name);
    is_ratio(name)
        || matches!(figure, "good_share" | "completed" | "completed_share" | "of_peak" | "most" | "messages")
        || figure.starts_with("per_second")
        || figure.ends_with("_at_least")
}

/// The figure of this name, if the phase has it.
pub fn figure(phase: &Phase, name: &str) -> Option<f64> {
    if let Some(figure) = name.strip_prefix("figures.") {
        return phase.figures.get(figure).copied();
    }
    let (of, figure) = name.rsplit_once('.')?;
    match of {
        "requests" => requests(phase, figure),
        // Who is not refused is not refused slowly: all times are 0 then.
        "refusal" => quantile(&phase.requests.refusal_ms, figure),
        "created_to_final" => {
            let times = &phase.orders.created_to_final_ms;
            some_if(timed(times), quantile(times, figure))
        }
        "delivery" => {
            let streams = phase.streams.as_ref()?;
            some_if(streams.messages > 0, quantile(&streams.delivery_ms, figure))
        }
        "orders" => orders(phase, figure),
        "streams" => match figure {
            "most" => Some(phase.streams.as_ref()?.most as f64),
            "messages" => Some(phase.streams.as_ref()?.messages as f64),
            _ => None,
        },
        of => match of.strip_prefix("components.") {
            Some(component) => components(phase, component, figure),
            None => operation(phase.operations.get(of)?, figure),
        },
    }
}

fn timed(times: &Quantiles) -> bool {
    *times != Quantiles::default()
}

fn some_if(there: bool, figure: Option<f64>) -> Option<f64> {
    figure.filter(|_| there)
}

fn quantile(times: &Quantiles, figure: &str) -> Option<f64> {
    Some(match figure {
        "p50_ms" => times.p50,
        "p90_ms" => times.p90,
        "p95_ms" => times.p95,
        "p99_ms" => times.p99,
        "p999_ms" => times.p999,
        "max_ms" => times.max,
        "mean_ms" => times.mean,
        _ => return None,
    })
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn requests(phase: &Phase, figure: &str) -> Option<f64> {
    let requests = &phase.requests;
    if requests.count == 0 {
        return None;
    }
    Some(match figure {
        "per_second" => requests.per_second,
        "good_share" => share(requests.good, requests.count),
        "failed" => requests.unexpected as f64,
        "failed_share" => requests.unexpected_share,
        "refused" => requests.refused as f64,
        "refused_share" => share(requests.refused, requests.count),
        "refused_without_time" => requests.refused_without_time as f64,
        // When nothing was answered, nothing was quick.
        _ => return some_if(timed(&requests.latency_ms), quantile(&requests.latency_ms, figure)),
    })
}

fn operation(operation: &Operation, figure: &str) -> Option<f64> {
    if operation.count == 0 {
        return None;
    }
    let failed = operation.count - operation.good - operation.refused;
    Some(match figure {
        "per_second" => operation.per_second,
        "good_share" => share(operation.good, operation.count),
        "failed" => failed as f64,
        "failed_share" => share(failed, operation.count),
        "refused" => operation.refused as f64,
        "refused_share" => share(operation.refused, operation.count),
        "refused_without_time" => operation.refused_without_time as f64,
        _ => return some_if(timed(&operation.latency_ms), quantile(&operation.latency_ms, figure)),
    })
}

fn orders(phase: &Phase, figure: &str) -> Option<f64> {
    let orders = &phase.orders;
    // Of an order that nobody looked for nothing is known.
    if orders.unseen > 0 && figure != "per_second_accepted" {
        return None;
    }
    Some(match figure {
        "per_second" => orders.per_second_completed,
        "per_second_accepted" => orders.per_second_accepted,
        "completed" => orders.completed as f64,
        "completed_share" => share(orders.completed, orders.accepted),
        "rejected" => orders.rejected as f64,
        "lost" => orders.lost as f64,
        "late" => orders.late as f64,
        "not_final" => orders.not_final as f64,
        "repeated" => orders.repeated as f64,
        "unknown" => orders.unknown as f64,
        "of_peak" => return orders.of_peak,
        _ => return None,
    })
}

fn components(phase: &Phase, name: &str, figure: &str) -> Option<f64> {
    let component = if name == "all" { &phase.platform } else { phase.components.get(name)? };
    match figure {
        "cpu_us_per_order" => component.cpu_us_per_order,
        "memory_mib_max" => component.memory_mib_max,
        "memory_mib_growth" => Some(component.memory_mib_end? - component.memory_mib_begin?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::model::{Component, Orders, Requests, Streams};

    fn phase() -> Phase {
        let latency_ms = Quantiles { p99: 40.0, ..Quantiles::default() };
        let order = Operation {
            count: 100,
            good: 90,
            refused: 4,
            per_second: 9.0,
            latency_ms,
            ..Operation::default()
        };
        Phase {
            operations: BTreeMap::from([("order".to_owned(), order)]),
            requests: Requests {
                count: 100,
                good: 90,
                refused: 4,
                unexpected: 6,
                unexpected_share: 0.06,
                ..Requests::default()
            },
            orders: Orders { accepted: 90, completed: 90, per_second_completed: 8.5, ..Orders::default() },
            ..Phase::default()
        }
    }

    fn wanted(name: &str, value: f64) -> BTreeMap<String, f64> {
        BTreeMap::from([(name.to_owned(), value)])
    }

    fn kept(name: &str, value: f64) -> bool {
        let verdicts = judge(&phase(), &wanted(name, value));
        verdicts.iter().find(|verdict| verdict.objective == name).unwrap().kept
    }

    #[test]
    fn times_are_at_most_and_rates_at_least() {
        assert!(kept("order.p99_ms", 40.0) && !kept("order.p99_ms", 39.9));
        assert!(kept("orders.per_second", 8.5) && !kept("orders.per_second", 8.6));
        assert!(kept("requests.failed_share", 0.06) && !kept("requests.failed_share", 0.05));
        assert!(kept("order.good_share", 0.9) && !kept("order.good_share", 0.91));
        assert!(kept("orders.completed_share", 1.0));
    }

    #[test]
    fn what_was_not_measured_is_not_kept() {
        for name in ["browse.p99_ms", "delivery.p99_ms", "components.orders.cpu_us_per_order", "figures.x"] {
            assert!(!kept(name, 1e9), "{name}");
        }
        assert!(kept("refusal.p99_ms", 1.0), "who is not refused is not refused slowly");
        assert!(!kept("requests.p99_ms", 1e9), "nothing was answered, so nothing was quick");
    }

    #[test]
    fn a_lost_order_is_always_a_miss() {
        let mut phase = phase();
        assert!(judge(&phase, &BTreeMap::new()).iter().all(|verdict| verdict.kept));
        phase.orders.lost = 1;
        let missed: Vec<_> = judge(&phase, &BTreeMap::new())
            .into_iter()
            .filter(|verdict| !verdict.kept)
            .map(|v| v.objective)
            .collect();
        assert_eq!(missed, ["orders.lost"]);
        let unseen = Orders { lost: 0, unseen: 1, ..phase.orders.clone() };
        let unseen = Phase { orders: unseen, ..phase.clone() };
        assert!(judge(&unseen, &BTreeMap::new()).iter().all(|verdict| !verdict.kept), "nobody looked for it");
        assert!(
            judge(&phase, &wanted("orders.lost", 1.0)).iter().all(|verdict| verdict.kept),
            "unless it is allowed"
        );
    }

    #[test]
    fn every_name_that_passes_the_check_is_measured() {
        let times = Quantiles { max: 1.0, ..Quantiles::default() };
        let mut phase = phase();
        phase.orders.of_peak = Some(1.0);
        phase.requests.latency_ms = times;
        phase.orders.created_to_final_ms = times;
        phase.streams = Some(Streams { messages: 1, delivery_ms: times, ..Streams::default() });
        phase.components.insert(
            "orders".to_owned(),
            Component {
                cpu_us_per_order: Some(1.0),
                memory_mib_begin: Some(1.0),
                memory_mib_max: Some(1.0),
                memory_mib_end: Some(1.0),
                ..Component::default()
            },
        );
        let kinds: [(&str, &[&[&str]]); 8] = [
            ("order", &[&QUANTILES, &COUNTS]),
            ("requests", &[&QUANTILES, &COUNTS]),
            ("orders", &[&ORDERS]),
            ("streams", &[&STREAMS]),
            ("refusal", &[&QUANTILES]),
            ("created_to_final", &[&QUANTILES]),
            ("delivery", &[&QUANTILES]),
            ("components.orders", &[&COMPONENTS]),
        ];
        for (of, lists) in kinds {
            for known in lists.iter().flat_map(|list| list.iter()) {
                let name = format!("{of}.{known}");
                check(&name).unwrap();
                assert!(figure(&phase, &name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn names_are_checked_before_the_run() {
        for right in [
            "order.p99_ms",
            "orders.lost",
            "components.orders.cpu_us_per_order",
            "ratio.order_flow",
            "figures.a.b",
        ] {
            check(right).unwrap();
        }
        for wrong in [
            "p99",
            "order.p98_ms",
            "ordr.p99_ms",
            "arrival.p99_ms",
            "orders.p99_ms",
            "components.orders.cpu",
            "ratio.x",
            "streams.least",
        ] {
            check(wrong).unwrap_err();
        }
    }
}
