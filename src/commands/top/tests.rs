//! What is seen of a platform, that no key does harm at any size, and that what is old is told as old.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::Modifier,
};
use serde_json::{Value, json};

use super::{
    ask::{Ask, Scrape, Told},
    data::{Actors, Exits, Registry, Workflows},
    exposition::Exposition,
    model::{Message, Model},
    panes::Pane,
    snapshot,
    view::{self, Theme},
};
use crate::commands::OpsError;

const BEFORE: &str = "orders_total{status=\"created\"} 1000\n\
    gateway_requests_total{route=\"/v1/orders\",method=\"POST\",status=\"2xx\"} 5000\n\
    actor_restarts_total{service=\"orders\",actor=\"order\",reason=\"panicked\"} 1\n";
const AFTER: &str = "orders_total{status=\"created\"} 3000\n\
    gateway_requests_total{route=\"/v1/orders\",method=\"POST\",status=\"2xx\"} 9900\n\
    gateway_requests_total{route=\"/v1/orders\",method=\"POST\",status=\"5xx\"} 100\n\
    gateway_requests_total{route=\"/v1/ops/metrics\",method=\"GET\",status=\"2xx\"} 9999\n\
    actor_restarts_total{service=\"orders\",actor=\"order\",reason=\"panicked\"} 18\n\
    consumer_lag_events{consumer=\"inventory\",topic=\"orders\",partition=\"0\"} 40\n\
    consumer_lag_events{consumer=\"inventory\",topic=\"orders\",partition=\"1\"} 2\n\
    consumer_lag_seconds{consumer=\"inventory\",topic=\"orders\",partition=\"1\"} 90\n\
    resilience_breaker_state{name=\"provider\",instance=\"0\"} 2\n";
const ORDER: &str = "0190a1b2-0000-7000-8000-00000000beef";

/// A platform at one moment, and the clock that goes with it.
struct Seen {
    model: Model,
    at: Instant,
    clock: Timestamp,
}

fn scrape(text: &str) -> Scrape {
    let exposition = Exposition::parse(text, |_| true).unwrap();
    Scrape { process: "one".to_owned(), exposition }
}

fn unreachable() -> OpsError {
    OpsError::Unreachable { url: "http://shop".to_owned(), why: "connection refused".to_owned() }
}

fn actors() -> Value {
    let children = json!([
        {"path": "orders/committer", "name": "committer", "kind": "actor", "state": "running",
         "mailbox_depth": 3, "mailbox_capacity": 1024},
        {"path": "orders/order", "name": "order", "kind": "router", "state": "running", "live": 4321,
         "restarts": 17, "quarantined": [{"id": ORDER}],
         "last_exit": {"kind": "panicked", "detail": {"message": "no\u{1b}[2Jprice", "during": "handle"}}},
        {"path": "orders/timer", "name": "timer", "kind": "task", "state": "backing_off", "restarts": 2},
    ]);
    json!({"service": "orders", "tree": {"path": "orders", "name": "orders", "kind": "supervisor",
        "state": "running", "restart_budget_remaining": 1, "intensity": {"max_restarts": 5},
        "children": children}})
}

impl Seen {
    /// Nothing has been heard.
    fn new() -> Self {
        let clock: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let model = Model::new("http://shop", Duration::from_secs(2), clock);
        Self { model, at: Instant::now(), clock }
    }

    fn update(&mut self, message: Message) -> Vec<Ask> {
        self.model.update(message, self.at, self.clock)
    }

    fn hear(&mut self, told: Told) -> Vec<Ask> {
        self.update(Message::Told(told))
    }

    fn press(&mut self, code: KeyCode) -> Vec<Ask> {
        self.update(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn later(&mut self, seconds: u32) {
        self.at += Duration::from_secs(seconds.into());
        self.clock += Duration::from_secs(seconds.into());
    }

    /// Everything has been heard twice, ten seconds apart, under a storm of restarts.
    fn storm() -> Self {
        let mut seen = Self::new();
        seen.update(Message::Tick);
        let check = json!({"status": "ready", "instances": 2, "ready": 2});
        let readiness = json!({"status": "degraded", "checks": {"catalog": check, "orders": check,
            "payments": {"status": "unavailable", "instances": 1, "ready": 0}}});
        seen.hear(Told::Readiness(Ok(serde_json::from_value(readiness).unwrap())));
        let registry = json!({"items": [
            {"instance_id": "a", "service": "orders", "address": "10.0.0.1:8084", "version": "0.1.0", "health": "healthy"},
            {"instance_id": "c", "service": "simulator", "address": "10.0.0.3:8089", "version": "0.1.0", "health": "healthy"},
            {"instance_id": "b", "service": "orders", "address": "10.0.0.2:8084", "version": "0.1.0", "health": "unhealthy"},
        ]});
        let registry: Registry = serde_json::from_value(registry).unwrap();
        seen.hear(Told::Registry(Ok(registry.items)));
        seen.hear(Told::Metrics("gateway".to_owned(), Ok(scrape(BEFORE))));
        seen.later(10);
        seen.hear(Told::Metrics("gateway".to_owned(), Ok(scrape(AFTER))));
        let workflows = json!({"items": [{"order_id": ORDER, "state": "stuck", "status": "validated",
            "waits_for": "PaymentProcessed", "started_at": "2026-01-01T00:00:00Z",
            "waiting_since": "2026-01-01T00:00:01Z", "due_at": "2026-01-01T00:30:00Z"}]});
        let workflows: Workflows = serde_json::from_value(workflows).unwrap();
        seen.hear(Told::Workflows(Ok(workflows.items)));
        seen.press(KeyCode::Char('/'));
        "orders".chars().for_each(|sign| drop(seen.press(KeyCode::Char(sign))));
        seen.press(KeyCode::Enter);
        seen.press(KeyCode::Enter);
        seen.press(KeyCode::Char('1'));
        seen.press(KeyCode::Esc);
        let tree: Actors = serde_json::from_value(actors()).unwrap();
        seen.hear(Told::Actors("orders".to_owned(), Ok(Box::new(tree.tree))));
        seen
    }

    fn drawn(&self, width: u16, height: u16, theme: &Theme) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view::view(frame, &self.model, theme)).unwrap();
        terminal
    }

    /// What stands on a screen of this size.
    fn screen(&self, width: u16, height: u16) -> String {
        let terminal = self.drawn(width, height, &Theme::new(true));
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(line).collect::<Vec<_>>().join("\n")
    }
}

#[track_caller]
fn assert_shows(screen: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(screen.contains(text), "{text:?} is not on the screen:\n{screen}");
    }
}

#[test]
fn a_storm_is_seen_on_the_smallest_usual_terminal() {
    let screen = Seen::storm().screen(80, 24);
    assert_shows(&screen, &["degraded", "orders 200/s in", "requests 500/s, 5xx 2.0 %"]);
    assert_shows(&screen, &["! payments is unavailable", "! orders at 10.0.0.2:8084 is unhealthy"]);
    assert_shows(
        &screen,
        &["1 services (7)", "2 actors of orders (4)", "3 lag (1)", "4 orders not finished (1)"],
    );
    assert_shows(&screen, &["0.0.1:8084", "backing_off", "1/5", "-00000000beef", "validated", "1m 30s"]);
}

#[test]
fn a_larger_terminal_shows_more_and_everything_stays_within_it() {
    let seen = Seen::storm();
    let screen = seen.screen(240, 60);
    let storm = "! restarts in the last minute: orders/order (panicked) 17";
    assert_shows(&screen, &[storm, "! breaker open: provider", "! inventory is 1m 30s behind at orders"]);
    assert_shows(
        &screen,
        &["panicked during handle: no [2Jprice", "3/1024", "4,321", ORDER, "PaymentProcessed"],
    );
    for (width, height) in [(1, 1), (3, 2), (20, 7), (79, 15), (500, 3)] {
        seen.screen(width, height);
    }
}

#[test]
fn enter_leads_from_a_service_to_an_actors_exits() {
    let mut seen = Seen::storm();
    assert_eq!(seen.press(KeyCode::Enter), [Ask::Actors("orders".to_owned())]);
    assert_eq!(seen.model.focus, Pane::Actors);
    seen.press(KeyCode::Down);
    seen.press(KeyCode::Down);
    let exits = Ask::Exits { service: "orders".to_owned(), path: "orders/order".to_owned() };
    assert_eq!(seen.press(KeyCode::Enter), std::slice::from_ref(&exits));
    assert_shows(&seen.screen(80, 24), &["last exits of orders/order", "asking"]);
    let items = json!({"items": [{"path": "orders/order", "id": ORDER, "at": "2026-01-01T00:00:05Z",
        "exit": {"kind": "panicked", "detail": {"message": "no price", "during": "handle"}},
        "message_kind": "PaymentProcessed", "uptime_seconds": 2.5, "backtrace": "orders::decide\nat decide.rs:7"}]});
    let items: Exits = serde_json::from_value(items).unwrap();
    seen.hear(Told::Exits("orders".to_owned(), "orders/order".to_owned(), Ok(items.items)));
    let screen = seen.screen(80, 24);
    assert_shows(
        &screen,
        &["5s ago", ORDER, "panicked during handle: no price at PaymentProcessed", "orders::decide"],
    );
    seen.press(KeyCode::Esc);
    assert!(seen.model.popup.is_none() && !seen.model.over);
}

#[test]
fn enter_on_an_order_asks_why() {
    let mut seen = Seen::storm();
    seen.press(KeyCode::Char('4'));
    assert_eq!(seen.press(KeyCode::Enter), [Ask::Why(ORDER.to_owned())]);
    let why = json!({"order_id": ORDER, "status": "validated", "finished": false, "trace_id": "4bf9",
        "waits_for": {"what": "PaymentProcessed", "service": "payments", "since": "2026-01-01T00:00:01Z", "seconds": 95},
        "causes": [{"kind": "breaker_open", "service": "payments", "detail": "provider has been open", "since": "x"}],
        "timeline": [{"at": "2026-01-01T00:00:00Z", "service": "orders", "type": "OrderCreated"}]});
    seen.hear(Told::Why("another".to_owned(), Err(unreachable())));
    seen.hear(Told::Why(ORDER.to_owned(), Ok(why)));
    let screen = seen.screen(80, 24);
    assert_shows(&screen, &["waits for PaymentProcessed of payments, for 1m 35s", "breaker_open: payments"]);
    assert_shows(&screen, &["provider has been open", "trace 4bf9", "OrderCreated"]);
    assert!(!screen.contains("refused"), "the answer to another question is not shown:\n{screen}");
}

#[test]
fn lines_are_filtered_sorted_and_stay_selected() {
    let mut seen = Seen::storm();
    seen.press(KeyCode::Char('2'));
    let keys = |seen: &Seen| -> Vec<String> {
        Pane::Actors.lines(&seen.model).into_iter().map(|line| line.key).collect()
    };
    assert_eq!(keys(&seen), ["orders", "orders/committer", "orders/order", "orders/timer"]);
    seen.press(KeyCode::End);
    for _ in 0..3 {
        seen.press(KeyCode::Char('s'));
    }
    assert_eq!(keys(&seen)[..2], ["orders/order", "orders/timer"], "by restarts, the most first");
    let selected = seen.model.lists[Pane::Actors.index()].selected.clone();
    assert_eq!(selected.as_deref(), Some("orders/timer"), "it is the same line, elsewhere");
    seen.press(KeyCode::Char('/'));
    "BACKING".chars().for_each(|sign| drop(seen.press(KeyCode::Char(sign))));
    assert_eq!(keys(&seen), ["orders/timer"]);
    assert_shows(&seen.screen(80, 24), &["/BACKING_"]);
    seen.press(KeyCode::Esc);
    assert_eq!(keys(&seen).len(), 4);
    assert!(!seen.model.over, "Esc first leaves the filter");
}

#[test]
fn what_does_not_answer_is_shown_faint_with_its_last_data() {
    let mut seen = Seen::storm();
    seen.hear(Told::Actors("orders".to_owned(), Err(unreachable())));
    let row = |seen: &Seen, theme: &Theme, text: &str| {
        let screen = seen.screen(80, 24);
        let y = screen.lines().position(|line| line.contains(text)).unwrap() as u16;
        let x = screen.lines().nth(y.into()).unwrap().find(text).unwrap();
        let x = screen.lines().nth(y.into()).unwrap()[..x].chars().count() as u16;
        seen.drawn(80, 24, theme).backend().buffer()[(x, y)].modifier
    };
    assert!(row(&seen, &Theme::new(true), "committer").contains(Modifier::DIM));
    assert!(!row(&seen, &Theme::new(true), "validated").contains(Modifier::DIM), "others hold still");
    seen.hear(Told::Readiness(Err(unreachable())));
    assert_shows(&seen.screen(80, 24), &["no answer", "! nobody answers at http://shop", "0.0.1:8084"]);
}

#[test]
fn without_colours_warnings_are_seen_all_the_same() {
    let seen = Seen::storm();
    let terminal = seen.drawn(120, 40, &Theme::new(false));
    let cells = terminal.backend().buffer().content();
    assert!(cells.iter().all(|cell| cell.fg == ratatui::style::Color::Reset));
    assert!(cells.iter().any(|cell| cell.modifier.contains(Modifier::UNDERLINED)));
}

#[test]
fn a_round_asks_what_is_not_under_way_and_one_process_once() {
    let mut seen = Seen::new();
    let first = seen.update(Message::Tick);
    assert_eq!(first.len(), 4 + 1, "{first:?}");
    assert_eq!(seen.update(Message::Tick), [], "all of it is under way");
    for ask in first {
        match ask {
            Ask::Metrics(service) => drop(seen.hear(Told::Metrics(service, Ok(scrape(BEFORE))))),
            Ask::Registry => drop(seen.hear(Told::Registry(Err(unreachable())))),
            Ask::Workflows => drop(seen.hear(Told::Workflows(Err(unreachable())))),
            Ask::Actors(service) => drop(seen.hear(Told::Actors(service, Err(unreachable())))),
            _ => {}
        }
    }
    let checks = json!({"status": "ready", "checks": {"catalog": {}, "orders": {}}});
    let more = seen.hear(Told::Readiness(Ok(serde_json::from_value(checks).unwrap())));
    let [catalog, orders] = ["catalog", "orders"].map(|name| Ask::Metrics(name.to_owned()));
    assert!(more.contains(&catalog) && more.contains(&orders), "{more:?}");
    // Catalog shares the gateway's process, orders has one of its own.
    seen.hear(Told::Metrics("catalog".to_owned(), Ok(scrape(BEFORE))));
    let other = Scrape { process: "two".to_owned(), ..scrape(BEFORE) };
    seen.hear(Told::Metrics("orders".to_owned(), Ok(other)));
    let next = seen.update(Message::Tick);
    assert!(next.contains(&orders) && !next.contains(&catalog), "{next:?}");
    assert_eq!(seen.model.platform.processes.len(), 2);
    seen.press(KeyCode::Char('p'));
    seen.later(60);
    assert_eq!(seen.update(Message::Tick), [], "paused");
}

#[test]
fn who_is_registered_and_not_behind_the_gateway_is_seen_and_not_asked() {
    let mut seen = Seen::storm();
    let asked = seen.update(Message::Tick);
    assert!(!asked.contains(&Ask::Metrics("simulator".to_owned())), "{asked:?}");
    let data = snapshot::json(&seen.model);
    assert_eq!(
        (&data["services"][4]["service"], &data["services"][4]["state"]),
        (&json!("simulator"), &json!("healthy"))
    );
    assert_eq!(seen.press(KeyCode::End), [], "its actors are not asked for");
    assert_shows(&seen.screen(80, 24), &["simulator is not behind the gateway"]);
}

#[test]
fn a_process_that_has_gone_counts_no_more() {
    let mut seen = Seen::storm();
    seen.later(60);
    seen.update(Message::Tick);
    assert!(seen.model.platform.processes.is_empty());
    assert_shows(&seen.screen(80, 24), &["orders 0/s in", "0 processes"]);
}

#[test]
fn a_snapshot_tells_the_same_as_the_screen() {
    let seen = Seen::storm();
    let text = snapshot::text(&seen.model);
    assert_shows(
        &text,
        &["orders 200/s in", "! breaker open: provider", ORDER, "orders/order", "10.0.0.2:8084"],
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    let data = snapshot::json(&seen.model);
    assert_eq!(data["orders"]["created_per_second"], 200.0);
    assert_eq!(data["services"][2]["instances"][1]["health"], "unhealthy");
    assert_eq!(data["actors"]["orders"][2]["quarantined"], 1);
    assert_eq!(
        (&data["workflows"][0]["age_seconds"], &data["lag"][0]["events"]),
        (&json!(10.0), &json!(42.0))
    );
}

fn any_key() -> impl Strategy<Value = KeyCode> {
    prop_oneof![
        8 => prop::sample::select("hjklgGsSzpr+-/?q1234 ".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char),
        4 => prop::sample::select(vec![
            KeyCode::Up, KeyCode::Down, KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab,
            KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::Null,
        ]),
        1 => any::<char>().prop_map(KeyCode::Char),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_keys_do_harm_at_any_size(
        keys in prop::collection::vec(any_key(), 0..60),
        sizes in prop::collection::vec((1u16..150, 1u16..50), 1..4),
    ) {
        let mut seen = Seen::storm();
        for (at, key) in keys.into_iter().enumerate() {
            for ask in seen.press(key) {
                if let Ask::Exits { service, path } = ask {
                    seen.hear(Told::Exits(service, path, Ok(Vec::new())));
                }
            }
            let (width, height) = sizes[at % sizes.len()];
            let screen = seen.screen(width, height);
            prop_assert_eq!(screen.lines().count(), usize::from(height));
        }
    }
}
