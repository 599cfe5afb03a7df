//! The page of a made-up run is parsed as XML, element by element.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    measure::histogram::{Quantiles, encode, histogram, record},
    report::model::*,
};

/// A run with everything in it.
pub fn example() -> Report {
    let mut latencies = histogram();
    for number in 0..20_000u32 {
        let tail = if number % 100 == 0 { 6.0 } else { 1.0 };
        let micros = 4_000.0 + 9_000.0 * tail * (f64::from(number % 997) / 997.0).powi(3);
        record(&mut latencies, Duration::from_micros(micros as u64));
    }
    let quantiles = Quantiles::of(&latencies);
    let operation = |good: u64| Operation {
        count: good + 12,
        good,
        refused: 5,
        problems: BTreeMap::from([
            ("/problems/rate-limited".to_owned(), 5),
            ("/problems/<odd> & \"quoted\"".to_owned(), 7),
        ]),
        per_second: good as f64 / 50.0,
        latency_ms: quantiles,
        service_ms: quantiles,
        refusal_ms: Some(quantiles),
        histogram: encode(&latencies),
        ..Operation::default()
    };
    let component = |cores: f64| Component {
        cpu_seconds: cores * 50.0,
        cores,
        cpu_us_per_order: Some(cores * 400.0),
        memory_mib_begin: Some(90.0),
        memory_mib_max: Some(400.0),
        memory_mib_end: Some(380.0),
        ..Component::default()
    };
    let wave = |second: u64| (second as f64 / 7.0).sin();
    let named = |figures: [(&str, f64); 6]| {
        figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let second = |second: u64| Second {
        second,
        started: 2_500,
        good: (2_400.0 + 120.0 * wave(second)) as u64,
        refused: 3,
        failed: u64::from(second == 33) * 40,
        p50_ms: 8.0 + wave(second),
        p99_ms: if second == 33 { 900.0 } else { 24.0 + 4.0 * wave(second) },
        completed: (2_380.0 + 150.0 * wave(second + 2)) as u64,
        cpu: named([
            ("postgres", 0.85 + 0.03 * wave(second)),
            ("orders", 0.36),
            ("inventory", 0.2),
            ("gateway", 0.14),
            ("payments", 0.22),
            ("generator", 0.08),
        ]),
        memory: named([
            ("postgres", 260.0 + second as f64),
            ("platform", 120.0 + 4.0 * second as f64),
            ("generator", 22.0),
            ("a", 0.0),
            ("b", 0.0),
            ("c", 0.0),
        ]),
        open_streams: second * 200,
        users: 64,
    };
    let phase = Phase {
        name: "peak".to_owned(),
        load: "256 clients".to_owned(),
        seconds: 60.0,
        warm_up_seconds: 10.0,
        operations: BTreeMap::from([
            ("order".to_owned(), operation(18_000)),
            ("browse".to_owned(), operation(2_000)),
        ]),
        requests: Requests {
            count: 20_024,
            good: 20_000,
            refused: 10,
            failed: 14,
            unexpected: 14,
            unexpected_share: 0.0007,
            per_second: 400.0,
            ..Requests::default()
        },
        orders: Orders {
            accepted: 18_000,
            completed: 17_990,
            statuses: BTreeMap::from([("completed".to_owned(), 17_990), ("rejected".to_owned(), 10)]),
            per_second_completed: 2_381.5,
            created_to_final_ms: quantiles,
            histogram: encode(&latencies),
            ..Orders::default()
        },
        streams: Some(Streams {
            most: 12_000,
            messages: 4_000,
            delivery_ms: quantiles,
            histogram: encode(&latencies),
            ..Streams::default()
        }),
        components: ["postgres", "orders", "inventory", "gateway", "payments", "generator"]
            .iter()
            .zip([0.85, 0.36, 0.2, 0.14, 0.22, 0.08])
            .map(|(name, cores)| ((*name).to_owned(), component(cores)))
            .collect(),
        platform: component(1.77),
        series: (0..60).map(second).collect(),
        tables: vec![Table {
            title: "Pieces & money".to_owned(),
            columns: vec!["class".to_owned(), "pieces".to_owned()],
            rows: vec![vec!["<unmatched>".to_owned(), "3".to_owned()]],
            note: "explained".to_owned(),
        }],
        figures: BTreeMap::from([("kib_per_stream".to_owned(), 18.2)]),
        objectives: vec![
            Verdict { objective: "order.p99_ms".to_owned(), wanted: 50.0, measured: Some(24.2), kept: true },
            Verdict {
                objective: "orders.per_second".to_owned(),
                wanted: 3_000.0,
                measured: Some(2_381.5),
                kept: false,
            },
            Verdict {
                objective: "requests.failed_share".to_owned(),
                wanted: 0.001,
                measured: Some(0.0007),
                kept: true,
            },
        ],
        notes: vec!["a <note> of the phase".to_owned()],
        ..Phase::default()
    };
    let bench = |per_second| Some(Bench { per_second, ..Bench::default() });
    Report {
        schema: SCHEMA,
        meta: Meta {
            profile: "steady".to_owned(),
            seed: 7,
            started_at: "2026-11-21T14:00:00Z".to_owned(),
            target: "http://127.0.0.1:8080".to_owned(),
            seconds: 60.0,
            partial: true,
            failed: false,
            version: "0.1.0".to_owned(),
            machine: Machine {
                cores: 2,
                cpu: "A Processor <fast>".to_owned(),
                memory_mib: 24_000,
                kernel: "6.1".to_owned(),
            },
        },
        phases: vec![phase, Phase { name: "nothing happened".to_owned(), ..Phase::default() }],
        peak: Some(Peak {
            per_second: 2_300.0,
            tries: vec![Try { per_second: 2_300.0, kept: true, why: String::new() }],
        }),
        baseline: Some(Baseline {
            server: "PostgreSQL 15".to_owned(),
            order_flow: bench(2_050.0),
            hot_row: bench(3_700.0),
            halves: vec![Half { when: "before <the load>".to_owned(), ..Half::default() }],
            settings: BTreeMap::from([("fsync".to_owned(), "on".to_owned())]),
            ..Baseline::default()
        }),
        ratios: vec![Ratio {
            name: "ratio.order_flow".to_owned(),
            ours: 2_381.5,
            baseline: 2_050.0,
            ratio: 1.16,
            wanted: Some(1.5),
        }],
        notes: vec!["the <machine> was not quiet".to_owned()],
        generator_bound: false,
    }
}

/// Every element is closed in order, attributes are quoted, and nothing stands there unescaped. Returns how often each
/// element is there.
fn parse(page: &str) -> Result<BTreeMap<String, usize>, String> {
    let page = page.strip_prefix("<!DOCTYPE html>").ok_or("no doctype")?;
    let (mut open, mut seen): (Vec<&str>, BTreeMap<String, usize>) = (Vec::new(), BTreeMap::new());
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        if open.last() != Some(&"style") {
            for part in text.split('&').skip(1) {
                let entity = part.split(';').next().unwrap_or_default();
                if !["amp", "lt", "gt", "quot"].contains(&entity) {
                    return Err(format!("a bare &: {part}"));
                }
            }
            if text.contains('>') {
                return Err(format!("a bare >: {text}"));
            }
        }
        let tag = &rest[at + 1..];
        let end = tag.find('>').ok_or("an element without an end")?;
        let (tag, after) = (&tag[..end], &tag[end + 1..]);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("{name} ends where {last:?} is open"));
            }
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_whitespace().next().ok_or("no name")?;
        if tag.matches('"').count() % 2 != 0 || tag.contains('<') {
            return Err(format!("attributes: {tag}"));
        }
        *seen.entry(name.to_owned()).or_default() += 1;
        if !closed {
            open.push(name);
        }
    }
    if open.is_empty() && rest.trim().is_empty() { Ok(seen) } else { Err(format!("left open: {open:?}")) }
}

#[test]
fn the_page_is_well_formed_and_has_its_plots() {
    let page = page(&example());
    if let Ok(folder) = std::env::var("EXAMPLE_REPORT") {
        crate::report::write::write(&example(), std::path::Path::new(&folder)).unwrap();
    }
    let seen = parse(&page).unwrap();
    assert_eq!(seen["svg"], 7, "percentiles, latency, throughput, CPU, memory, streams, users");
    for title in ["Latency percentiles", "Latency over time", "Throughput", "CPU", "Memory", "Open streams"] {
        assert!(page.contains(&format!("<b>{title}</b>")), "{title}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "no figure without a value");
}

#[test]
fn the_page_needs_nothing_else() {
    let page = page(&example());
    for other in ["<script", "<link", "<img", "src=", "@import", "url(", "href="] {
        assert!(!page.contains(other), "{other}");
    }
}

#[test]
fn what_a_server_says_cannot_become_markup() {
    let page = page(&example());
    assert!(page.contains("/problems/&lt;odd&gt; &amp; &quot;quoted&quot;"));
    assert!(page.contains("A Processor &lt;fast&gt;") && page.contains("&lt;unmatched&gt;"));
}

#[test]
fn the_parser_of_this_test_sees_mistakes() {
    for wrong in ["<p>", "<p></b>", "<p>a & b</p>", "<p a=\"></p>", "<b><i></b></i>"] {
        assert!(parse(&format!("<!DOCTYPE html>{wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn a_run_without_anything_has_a_page() {
    parse(&page(&Report::default())).unwrap();
}
