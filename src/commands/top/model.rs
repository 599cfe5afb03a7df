//! What `top` knows and shows, and how each message changes it. Nothing here asks, waits or draws: an update returns what
//! is to be asked.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use ratatui::crossterm::event::KeyEvent;
use serde_json::Value;

use super::{
    ask::{Ask, Scrape, Told},
    data::{Ended, Instance, Node, Readiness, Workflow},
    figures::Sums,
    keys,
    panes::{List, Pane},
    rates::{Process, Reading},
};
use crate::commands::OpsError;

/// Intervals that `+` and `-` go through, in milliseconds.
pub const INTERVALS: [u64; 6] = [500, 1_000, 2_000, 5_000, 10_000, 30_000];
/// A process that has not been heard for so long counts no more, or for so many intervals: behind a gateway, replicas
/// answer in turn.
const GONE_AFTER: Duration = Duration::from_secs(15);
const GONE_AFTER_INTERVALS: u32 = 6;
/// Services in one process are asked for its metrics once; whether they still are in one, every so many rounds.
const LOOK_AGAIN: u64 = 10;

/// What happens.
#[derive(Debug)]
pub enum Message {
    /// It is time for another round of questions.
    Tick,
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// An answer, or why there is none.
    Told(Told),
}

/// What was heard last, and whether it still holds.
#[derive(Debug, Clone, Default)]
pub struct Heard<T> {
    /// The last answer; `None` before the first one.
    pub last: Option<T>,
    /// Why there is no newer one.
    pub error: Option<OpsError>,
}

impl<T> Heard<T> {
    fn hear(&mut self, answer: Result<T, OpsError>) {
        match answer {
            Ok(answer) => *self = Self { last: Some(answer), error: None },
            Err(error) => self.error = Some(error),
        }
    }
}

/// What the platform has said.
#[derive(Default)]
pub struct Platform {
    /// How the gateway and its services are.
    pub readiness: Heard<Readiness>,
    /// Who is registered.
    pub registry: Heard<Vec<Instance>>,
    /// Which process has answered for a service last.
    pub process_of: BTreeMap<String, Heard<String>>,
    /// What each process says.
    pub processes: BTreeMap<String, Process>,
    /// The actors of each service that was looked at.
    pub trees: BTreeMap<String, Heard<Node>>,
    /// Orders that are not finished.
    pub workflows: Heard<Vec<Workflow>>,
}

impl Platform {
    /// All services, the gateway first.
    pub fn services(&self) -> Vec<String> {
        let behind = self.readiness.last.iter().flat_map(|it| it.checks.keys());
        let registered = self.registry.last.iter().flatten().map(|it| &it.service);
        let mut names: BTreeSet<&String> = behind.chain(registered).filter(|it| !it.is_empty()).collect();
        names.extend(self.process_of.keys());
        let others = names.into_iter().filter(|it| *it != "gateway").cloned();
        std::iter::once("gateway".to_owned()).chain(others).collect()
    }

    /// True when the gateway leads there: whoever is only registered can be seen, and not be asked.
    pub fn can_be_asked(&self, service: &str) -> bool {
        let behind = |readiness: &Readiness| readiness.checks.contains_key(service);
        service == "gateway" || self.readiness.last.as_ref().is_none_or(behind)
    }

    fn read(&mut self, process: &str, reading: Reading) {
        match self.processes.get_mut(process) {
            Some(known) => known.read(reading),
            None => drop(self.processes.insert(process.to_owned(), Process::new(reading))),
        }
    }

    /// What the processes say, added up.
    pub fn sums(&self) -> Sums<'_> {
        Sums(self.processes.values().collect())
    }
}

/// A window over the others.
pub enum Popup {
    /// What the keys do.
    Help,
    /// The last ends of an actor.
    Exits {
        /// Its service.
        service: String,
        /// Its path.
        path: String,
        /// What was heard.
        heard: Heard<Vec<Ended>>,
    },
    /// Why an order is not finished.
    Why {
        /// Which.
        order: String,
        /// What was heard.
        heard: Heard<Value>,
    },
}

/// Everything.
pub struct Model {
    /// Where the platform is.
    pub url: String,
    /// How often it is asked.
    pub interval: Duration,
    /// True while nothing is asked.
    pub paused: bool,
    /// The pane that keys act on.
    pub focus: Pane,
    /// True while only that one is shown.
    pub zoomed: bool,
    /// How each pane is searched and sorted.
    pub lists: [List; Pane::ALL.len()],
    /// True while a filter is being written.
    pub typing: bool,
    /// What is open, and how far it is scrolled.
    pub popup: Option<(Popup, u16)>,
    /// What was heard.
    pub platform: Platform,
    /// True when it is to end.
    pub over: bool,
    /// The present, for ages.
    pub clock: Timestamp,
    in_flight: HashSet<Ask>,
    round: u64,
}

impl Model {
    /// Before anything was heard.
    pub fn new(url: &str, interval: Duration, clock: Timestamp) -> Self {
        Self {
            url: url.to_owned(),
            interval,
            paused: false,
            focus: Pane::Services,
            zoomed: false,
            lists: Default::default(),
            typing: false,
            popup: None,
            platform: Platform::default(),
            over: false,
            clock,
            in_flight: HashSet::new(),
            round: 0,
        }
    }

    /// Takes a message in; what is to be asked because of it.
    pub fn update(&mut self, message: Message, at: Instant, clock: Timestamp) -> Vec<Ask> {
        self.clock = clock;
        let asks = match message {
            Message::Tick if self.paused => Vec::new(),
            Message::Tick => self.round(at),
            Message::Key(key) => keys::press(self, key, at),
            Message::Resized => Vec::new(),
            Message::Told(told) => self.hear(told, at),
        };
        asks.into_iter().filter(|ask| self.in_flight.insert(ask.clone())).collect()
    }

    /// The service whose actors are shown.
    pub fn service(&self) -> String {
        let selected = self.lists[Pane::Services.index()].selected.as_deref();
        // A row below a service is one of its instances: `orders 10.0.0.1:8084`.
        let named = selected.map(|key| key.split(' ').next().unwrap_or(key).to_owned());
        let known = self.platform.services();
        let first = || known.iter().find(|name| *name != "gateway").cloned();
        named.filter(|name| known.contains(name)).or_else(first).unwrap_or_else(|| "orders".to_owned())
    }

    /// The actors of that service.
    pub fn tree(&self) -> Option<&Heard<Node>> {
        self.platform.trees.get(&self.service())
    }

    /// The actors of services that were not looked at yet.
    pub(super) fn ask_for_all_actors(&mut self) -> Vec<Ask> {
        let new = |of: &String| self.has_actors(of) && !self.platform.trees.contains_key(of);
        let asks: Vec<Ask> = self.platform.services().into_iter().filter(new).map(Ask::Actors).collect();
        asks.into_iter().filter(|ask| self.in_flight.insert(ask.clone())).collect()
    }

    /// A round of questions.
    pub(super) fn round(&mut self, at: Instant) -> Vec<Ask> {
        let gone = GONE_AFTER.max(self.interval * GONE_AFTER_INTERVALS);
        self.platform.processes.retain(|_, it| at.saturating_duration_since(it.now().at) < gone);
        let mut asks = vec![Ask::Readiness, Ask::Registry, Ask::Workflows];
        let look_again = self.round.is_multiple_of(LOOK_AGAIN);
        self.round += 1;
        for service in self.platform.services() {
            let has_told = !look_again && self.shares_the_gateways_process(&service);
            if self.platform.can_be_asked(&service) && !has_told {
                asks.push(Ask::Metrics(service));
            }
        }
        asks.extend(self.ask_for_actors());
        match &self.popup {
            Some((Popup::Exits { service, path, .. }, _)) => {
                asks.push(Ask::Exits { service: service.clone(), path: path.clone() });
            }
            Some((Popup::Why { order, .. }, _)) => asks.push(Ask::Why(order.clone())),
            Some((Popup::Help, _)) | None => {}
        }
        asks
    }

    /// The gateway has none, and who is not behind it cannot be asked.
    fn has_actors(&self, service: &str) -> bool {
        service != "gateway" && self.platform.can_be_asked(service)
    }

    /// The actors of the selected service.
    pub(super) fn ask_for_actors(&self) -> Option<Ask> {
        Some(self.service()).filter(|service| self.has_actors(service)).map(Ask::Actors)
    }

    fn shares_the_gateways_process(&self, service: &str) -> bool {
        let process = |name: &str| self.platform.process_of.get(name)?.last.as_ref();
        service != "gateway" && process(service).is_some() && process(service) == process("gateway")
    }

    fn hear(&mut self, told: Told, at: Instant) -> Vec<Ask> {
        self.in_flight.remove(&told.to());
        let platform = &mut self.platform;
        match told {
            Told::Readiness(answer) => {
                let known = platform.services().len();
                platform.readiness.hear(answer);
                // The first time, it says whom to ask.
                if known == 1 {
                    let behind = platform.services().into_iter().skip(1);
                    let services: Vec<Ask> =
                        behind.filter(|service| platform.can_be_asked(service)).map(Ask::Metrics).collect();
                    return services.into_iter().chain(self.ask_for_actors()).collect();
                }
            }
            Told::Registry(answer) => platform.registry.hear(answer),
            Told::Workflows(answer) => platform.workflows.hear(answer),
            Told::Metrics(service, answer) => {
                let process = answer.map(|Scrape { process, exposition }| {
                    platform.read(&process, Reading { at, exposition });
                    process
                });
                platform.process_of.entry(service).or_default().hear(process);
            }
            Told::Actors(service, answer) => {
                platform.trees.entry(service).or_default().hear(answer.map(|tree| *tree));
            }
            // What was asked for a window that has been closed since is not needed any more.
            Told::Exits(of, at, answer) => {
                if let Some((Popup::Exits { service, path, heard }, _)) = &mut self.popup
                    && (&*service, &*path) == (&of, &at)
                {
                    heard.hear(answer);
                }
            }
            Told::Why(of, answer) => {
                if let Some((Popup::Why { order, heard }, _)) = &mut self.popup
                    && *order == of
                {
                    heard.hear(answer);
                }
            }
        }
        Vec::new()
    }
}
