//! What goes wrong: a `[[fault]]` table, and what it means.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::span::Span;
use crate::proxy::Weather;

/// How long a failpoint may take to be reached, unless the experiment says otherwise.
const UNTIL_HIT: Duration = Duration::from_secs(20);

/// What takes no time begins before the end of the run all the same.
const AN_INSTANT: Duration = Duration::from_millis(1);

/// Something that goes wrong, once or again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What, and with whom.
    pub what: What,
    /// When it happens for the first time.
    pub at: Duration,
    /// From one begin to the next.
    pub every: Option<Duration>,
    /// The share of `every` by which each begin comes later, by chance; 0 to 1.
    pub jitter: f64,
    /// How often; as often as it fits when absent and `every` is there, else once.
    pub times: Option<u32>,
    /// How long it lasts each time.
    pub lasts: Duration,
    /// Whom it meets each time.
    pub pick: Pick,
    /// Nobody is met before the one before is back, however long that takes; of several brokers, before it has all again.
    pub one_at_a_time: bool,
}

/// Whom of several a fault meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// One of them, by chance.
    #[default]
    Random,
    /// One after the other.
    Turn,
    /// All at once.
    All,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// SIGKILL; a new start when the time is over.
    Kill(Vec<String>),
    /// SIGSTOP; SIGCONT when the time is over.
    Pause(Vec<String>),
    /// SIGTERM, and a new start when it has ended and the time is over.
    Restart(Vec<String>),
    /// An immediate shutdown of the database server (SIGQUIT: no checkpoint, connections are dropped), and a new start.
    RestartPostgres,
    /// A new start with a named point armed; when the process has died there, a clean start.
    Failpoint {
        /// Whom.
        parts: Vec<String>,
        /// The points, one after the other.
        points: Vec<String>,
        /// So many passes are survived, at most; how many is chance.
        passes: u32,
    },
    /// A link's weather turns; clear when the time is over.
    Weather {
        /// Which links.
        links: Vec<String>,
        /// What becomes of what passes.
        weather: Weather,
    },
    /// All connections of a link are reset.
    Cut(Vec<String>),
    /// The volume of a part's data is filled to the last block; freed when the time is over.
    DiskFull(Vec<String>),
    /// The clock of parts is off; right again when the time is over.
    Clock {
        /// Whose.
        parts: Vec<String>,
        /// By so many seconds.
        shift: i64,
    },
    /// All events of topics so far are published again, keys shuffled, each key's in their order.
    RepeatEvents {
        /// Which topics, such as `orders.events.v1`.
        topics: Vec<String>,
        /// So many times.
        copies: u32,
    },
    /// Messages that a consumer cannot handle.
    Poison {
        /// Where.
        topic: String,
        /// What kind.
        kind: Poison,
        /// How many.
        count: u32,
    },
    /// The database refuses some rows, so that events cannot be handled; they can when the time is over.
    RefuseRows(Rows),
    /// The payment provider misbehaves, and behaves again when the time is over.
    Provider(Provider),
    /// A fault on demand is set in a service, and taken back when the time is over.
    OnDemand {
        /// In all its replicas.
        service: String,
        /// As `POST /v1/ops/faults` takes it.
        fault: Value,
    },
    /// A replica is restarted, or silent for longer than its group waits, so that partitions move.
    Rebalance(Vec<String>),
}

/// Rows that a database refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Such as `order_db`.
    pub database: String,
    /// Such as `orders`.
    pub table: String,
    /// What new and changed rows must satisfy, as SQL.
    pub check: String,
}

/// A message that nobody can handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Poison {
    /// No CloudEvent: bytes and headers of nothing.
    Unreadable,
    /// An event whose bytes are not what its kind promises.
    Garbage,
    /// A sound event of something that the consumer has never heard of.
    Stranger,
}

/// How the payment provider misbehaves, as `PUT /v1/simulator/faults` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provider {
    /// Every request takes so much longer.
    pub latency_ms: u64,
    /// The share of charges and refunds that fail with 500, undone.
    pub fail_before: f64,
    /// The share of charges and refunds that are done and never answered: it lies.
    pub lose_answer: f64,
    /// Every request is refused with 503.
    pub down: bool,
}

/// The table as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultTable {
    #[serde(rename = "do")]
    pub done: String,
    at: Option<Span>,
    every: Option<Span>,
    jitter: Option<f64>,
    times: Option<u32>,
    #[serde(rename = "for")]
    lasts: Option<Span>,
    down: Option<Span>,
    pick: Option<Pick>,
    one_at_a_time: Option<bool>,
    parts: Option<Vec<String>>,
    link: Option<String>,
    links: Option<Vec<String>>,
    points: Option<Vec<String>>,
    passes: Option<u32>,
    weather: Option<Weather>,
    shift: Option<String>,
    topics: Option<Vec<String>>,
    topic: Option<String>,
    copies: Option<u32>,
    poison: Option<Poison>,
    count: Option<u32>,
    database: Option<String>,
    table: Option<String>,
    check: Option<String>,
    provider: Option<Provider>,
    service: Option<String>,
    fault: Option<toml::Table>,
}

impl TryFrom<FaultTable> for Fault {
    type Error = String;

    fn try_from(mut table: FaultTable) -> Result<Self, String> {
        let timing = (table.at.take(), table.every.take(), table.jitter.take(), table.times.take());
        let what = table.what()?;
        let pick = match what.members() {
            Some(_) => table.pick.take().unwrap_or(what.usual_pick()),
            None => Pick::All,
        };
        let one_at_a_time = table.one_at_a_time.take_if(|_| what.members().is_some()).unwrap_or(false);
        let down = FaultTable::span(table.down.take_if(|_| what.is_down()));
        let lasts = FaultTable::span(table.lasts.take_if(|_| what.lasts() && !what.is_down()));
        let lasts = down.or(lasts);
        if let Some(field) = table.left() {
            return Err(format!("`{field}` does not go with {}", table.done));
        }
        let lasts = match (lasts, &what) {
            (Some(lasts), _) => lasts,
            (None, What::Failpoint { .. }) => UNTIL_HIT,
            (None, _) if what.is_down() => Duration::from_millis(500),
            (None, _) if what.lasts() => return Err("`for` is missing: how long does it last?".to_owned()),
            (None, _) => Duration::ZERO,
        };
        let (at, every, jitter, times) = timing;
        // Each point has its turn.
        let points = match &what {
            What::Failpoint { points, .. } => u32::try_from(points.len()).ok(),
            _ => None,
        };
        let times = times.or(points);
        Ok(Self {
            at: FaultTable::span(at).unwrap_or_default(),
            every: FaultTable::span(every),
            jitter: jitter.unwrap_or(0.0),
            times,
            lasts,
            pick,
            one_at_a_time,
            what,
        })
    }
}

impl FaultTable {
    fn what(&mut self) -> Result<What, String> {
        Ok(match self.done.as_str() {
            "kill" => What::Kill(self.parts()?),
            "pause" => What::Pause(self.parts()?),
            "restart" => What::Restart(self.parts()?),
            "restart_postgres" => What::RestartPostgres,
            "failpoint" => What::Failpoint {
                parts: self.parts()?,
                points: needed("points", self.points.take())?,
                passes: self.passes.take().unwrap_or(0),
            },
            "weather" => {
                What::Weather { links: self.links()?, weather: needed("weather", self.weather.take())? }
            }
            "cut" => What::Cut(self.links()?),
            "disk_full" => What::DiskFull(self.parts()?),
            "clock" => {
                let shift = Self::shift(self.shift.take().as_deref())?;
                What::Clock { parts: self.parts()?, shift: needed("shift", shift)? }
            }
            "repeat_events" => What::RepeatEvents {
                topics: needed("topics", self.topics.take())?,
                copies: needed("copies", self.copies.take())?,
            },
            "poison" => What::Poison {
                topic: needed("topic", self.topic.take())?,
                kind: needed("poison", self.poison.take())?,
                count: self.count.take().unwrap_or(1),
            },
            "refuse_rows" => What::RefuseRows(Rows {
                database: needed("database", self.database.take())?,
                table: needed("table", self.table.take())?,
                check: needed("check", self.check.take())?,
            }),
            "provider" => What::Provider(needed("provider", self.provider.take())?),
            "faults" => {
                let fault = needed("fault", self.fault.take())?;
                let fault = serde_json::to_value(fault).map_err(|error| format!("`fault`: {error}"))?;
                What::OnDemand { service: needed("service", self.service.take())?, fault }
            }
            "rebalance" => What::Rebalance(self.parts()?),
            other => {
                return Err(format!(
                    "`do = \"{other}\"` is none of: kill, pause, restart, restart_postgres, failpoint, weather, cut, \
                     disk_full, clock, repeat_events, poison, refuse_rows, provider, faults, rebalance"
                ));
            }
        })
    }

    fn parts(&mut self) -> Result<Vec<String>, String> {
        needed("parts", self.parts.take())
    }

    fn links(&mut self) -> Result<Vec<String>, String> {
        match (self.link.take(), self.links.take()) {
            (Some(link), None) => Ok(vec![link]),
            (None, Some(links)) => Ok(links),
            (Some(_), Some(_)) => Err("`link` and `links` say the same: only one of them".to_owned()),
            (None, None) => Err("`link` is missing".to_owned()),
        }
    }

    /// A field that nobody has asked for.
    fn left(&self) -> Option<&'static str> {
        let fields = [
            ("for", self.lasts.is_some()),
            ("down", self.down.is_some()),
            ("pick", self.pick.is_some()),
            ("one_at_a_time", self.one_at_a_time.is_some()),
            ("parts", self.parts.is_some()),
            ("link", self.link.is_some()),
            ("links", self.links.is_some()),
            ("points", self.points.is_some()),
            ("passes", self.passes.is_some()),
            ("weather", self.weather.is_some()),
            ("shift", self.shift.is_some()),
            ("topics", self.topics.is_some()),
            ("topic", self.topic.is_some()),
            ("copies", self.copies.is_some()),
            ("poison", self.poison.is_some()),
            ("count", self.count.is_some()),
            ("database", self.database.is_some()),
            ("table", self.table.is_some()),
            ("check", self.check.is_some()),
            ("provider", self.provider.is_some()),
            ("service", self.service.is_some()),
            ("fault", self.fault.is_some()),
        ];
        fields.into_iter().find_map(|(name, is_there)| is_there.then_some(name))
    }
}

fn needed<T>(name: &str, field: Option<T>) -> Result<T, String> {
    field.ok_or_else(|| format!("`{name}` is missing"))
}

impl What {
    /// Its name in experiments and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Pause(_) => "pause",
            Self::Restart(_) => "restart",
            Self::RestartPostgres => "restart_postgres",
            Self::Failpoint { .. } => "failpoint",
            Self::Weather { .. } => "weather",
            Self::Cut(_) => "cut",
            Self::DiskFull(_) => "disk_full",
            Self::Clock { .. } => "clock",
            Self::RepeatEvents { .. } => "repeat_events",
            Self::Poison { .. } => "poison",
            Self::RefuseRows(_) => "refuse_rows",
            Self::Provider(_) => "provider",
            Self::OnDemand { .. } => "faults",
            Self::Rebalance(_) => "rebalance",
        }
    }

    /// The parts, groups or links that it names, one of which it meets each time.
    pub fn members(&self) -> Option<&[String]> {
        match self {
            Self::Kill(names) | Self::Pause(names) | Self::Restart(names) => Some(names),
            Self::Cut(names) | Self::DiskFull(names) | Self::Rebalance(names) => Some(names),
            Self::Failpoint { parts, .. } | Self::Clock { parts, .. } => Some(parts),
            Self::Weather { links, .. } => Some(links),
            Self::RestartPostgres | Self::RepeatEvents { .. } | Self::Poison { .. } => None,
            Self::RefuseRows(_) | Self::Provider(_) | Self::OnDemand { .. } => None,
        }
    }

    /// What is said of links or clocks goes for all of them; a process is one's own.
    fn usual_pick(&self) -> Pick {
        match self {
            Self::Weather { .. } | Self::Cut(_) | Self::Clock { .. } | Self::DiskFull(_) => Pick::All,
            Self::Restart(_) | Self::Failpoint { .. } => Pick::Turn,
            _ => Pick::Random,
        }
    }

    /// Whether a process is gone meanwhile: its length is `down`.
    pub(super) fn is_down(&self) -> bool {
        matches!(self, Self::Kill(_) | Self::Restart(_) | Self::RestartPostgres)
    }

    /// Whether it lasts at all.
    pub(super) fn lasts(&self) -> bool {
        !matches!(self, Self::Cut(_) | Self::RepeatEvents { .. } | Self::Poison { .. })
    }

    /// Whether its length is shortened with the run's.
    pub(super) fn shrinks(&self) -> bool {
        matches!(
            self,
            Self::Weather { .. }
                | Self::RefuseRows(_)
                | Self::Provider(_)
                | Self::OnDemand { .. }
                | Self::DiskFull(_)
                | Self::Clock { .. }
        )
    }
}

impl Fault {
    /// How often it fits into a run of this length; `None` when it happens once.
    pub(super) fn fits(&self, length: Duration) -> Option<u32> {
        let every = self.every?;
        let room = length.checked_sub(self.at + self.lasts.max(AN_INSTANT) + every.mul_f64(self.jitter));
        Some(room.map_or(0, |room| (room.as_secs_f64() / every.as_secs_f64().max(0.001)) as u32 + 1))
    }
}
