//! What a schedule is made of.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Poison, Provider, Rows, span};
use crate::proxy::Weather;

/// One thing that happens, to parts that are named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, after the load has.
    #[serde(with = "span")]
    pub at: Duration,
    /// Which `[[fault]]` of the experiment it comes from, from 0.
    pub fault: usize,
    /// Whether it waits until the fault's step before is over.
    #[serde(default)]
    pub one_at_a_time: bool,
    /// What happens.
    pub action: Action,
}

/// What happens. What lasts is undone when its time is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// SIGKILL, and a new start after `down`.
    Kill {
        /// Whom.
        part: String,
        /// How long nothing is there.
        #[serde(with = "span")]
        down: Duration,
    },
    /// SIGSTOP, and SIGCONT after `hold`.
    Pause {
        /// Whom.
        part: String,
        /// How long it stands still.
        #[serde(with = "span")]
        hold: Duration,
    },
    /// SIGTERM, and a new start `down` after it has ended.
    Restart {
        /// Whom.
        part: String,
        /// How long nothing is there.
        #[serde(with = "span")]
        down: Duration,
    },
    /// SIGQUIT to the database server, and a new start after `down`.
    RestartPostgres {
        /// How long nothing is there.
        #[serde(with = "span")]
        down: Duration,
    },
    /// A new start with a named point armed, and a clean one when it has died there.
    Failpoint {
        /// Whom.
        part: String,
        /// Where.
        point: String,
        /// So many passes are survived.
        passes: u32,
        /// How long it may take until the point is reached.
        #[serde(with = "span")]
        within: Duration,
    },
    /// A link's weather, and a clear sky after `hold`.
    Weather {
        /// Which link.
        link: String,
        /// What becomes of what passes.
        weather: Weather,
        /// How long.
        #[serde(with = "span")]
        hold: Duration,
    },
    /// All connections of a link are reset.
    Cut {
        /// Which link.
        link: String,
    },
    /// The volume of a part's data is full, and free again after `hold`.
    DiskFull {
        /// Whose.
        part: String,
        /// How long.
        #[serde(with = "span")]
        hold: Duration,
    },
    /// A part's clock is off, and right again after `hold`.
    Clock {
        /// Whose.
        part: String,
        /// By so many seconds.
        shift: i64,
        /// How long.
        #[serde(with = "span")]
        hold: Duration,
    },
    /// All events so far are published again.
    RepeatEvents {
        /// Of these topics.
        topics: Vec<String>,
        /// So many times.
        copies: u32,
        /// From which the order of keys comes.
        seed: u64,
    },
    /// Messages that nobody can handle are published.
    Poison {
        /// Where.
        topic: String,
        /// What kind.
        kind: Poison,
        /// How many.
        count: u32,
        /// From which their ids come.
        seed: u64,
    },
    /// A database refuses some rows, for `hold`.
    RefuseRows {
        /// Which.
        rows: Rows,
        /// How long.
        #[serde(with = "span")]
        hold: Duration,
    },
    /// The payment provider misbehaves, for `hold`.
    Provider {
        /// How.
        provider: Provider,
        /// How long.
        #[serde(with = "span")]
        hold: Duration,
    },
    /// A fault on demand, for `hold`.
    Faults {
        /// In all replicas of this service.
        service: String,
        /// As `POST /v1/ops/faults` takes it.
        fault: Value,
        /// How long.
        #[serde(with = "span")]
        hold: Duration,
    },
}

impl Action {
    /// Its name in schedules and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Restart { .. } => "restart",
            Self::RestartPostgres { .. } => "restart_postgres",
            Self::Failpoint { .. } => "failpoint",
            Self::Weather { .. } => "weather",
            Self::Cut { .. } => "cut",
            Self::DiskFull { .. } => "disk_full",
            Self::Clock { .. } => "clock",
            Self::RepeatEvents { .. } => "repeat_events",
            Self::Poison { .. } => "poison",
            Self::RefuseRows { .. } => "refuse_rows",
            Self::Provider { .. } => "provider",
            Self::Faults { .. } => "faults",
        }
    }

    /// How long it lasts as it is planned.
    pub fn length(&self) -> Duration {
        match self {
            Self::Kill { down, .. } | Self::Restart { down, .. } | Self::RestartPostgres { down } => *down,
            Self::Pause { hold, .. } | Self::Weather { hold, .. } | Self::DiskFull { hold, .. } => *hold,
            Self::Clock { hold, .. } | Self::Provider { hold, .. } | Self::Faults { hold, .. } => *hold,
            Self::RefuseRows { hold, .. } => *hold,
            Self::Failpoint { within, .. } => *within,
            Self::Cut { .. } | Self::RepeatEvents { .. } | Self::Poison { .. } => Duration::ZERO,
        }
    }

    /// What it has for itself while it lasts; two steps with the same never overlap.
    pub fn holds(&self) -> Option<String> {
        match self {
            Self::Kill { part, .. } | Self::Pause { part, .. } | Self::Restart { part, .. } => {
                Some(part.clone())
            }
            Self::Failpoint { part, .. } | Self::DiskFull { part, .. } => Some(part.clone()),
            Self::RestartPostgres { .. } => Some("postgres".to_owned()),
            Self::Weather { link, .. } => Some(format!("link {link}")),
            Self::Clock { part, .. } => Some(format!("clock {part}")),
            Self::Provider { .. } => Some("provider".to_owned()),
            Self::RefuseRows { rows, .. } => Some(format!("rows {}.{}", rows.database, rows.table)),
            Self::Cut { .. } | Self::RepeatEvents { .. } | Self::Poison { .. } | Self::Faults { .. } => None,
        }
    }

    /// The part or link that it is about, for reports.
    pub fn target(&self) -> &str {
        match self {
            Self::Kill { part, .. } | Self::Pause { part, .. } | Self::Restart { part, .. } => part,
            Self::Failpoint { part, .. } | Self::DiskFull { part, .. } | Self::Clock { part, .. } => part,
            Self::RestartPostgres { .. } => "postgres",
            Self::Weather { link, .. } | Self::Cut { link } => link,
            Self::RepeatEvents { .. } => "topics",
            Self::Poison { topic, .. } => topic,
            Self::RefuseRows { rows, .. } => &rows.table,
            Self::Provider { .. } => "simulator-1",
            Self::Faults { service, .. } => service,
        }
    }

    /// A few words for people.
    pub fn words(&self) -> String {
        let lasting = |what: String, span: &Duration| format!("{what} for {}", span::text(*span));
        match self {
            Self::Kill { part, down } => format!("kill -9 {part}, start after {}", span::text(*down)),
            Self::Pause { part, hold } => lasting(format!("{part} stands still"), hold),
            Self::Restart { part, .. } => format!("restart {part}"),
            Self::RestartPostgres { .. } => "immediate restart of postgres".to_owned(),
            Self::Failpoint { part, point, passes, .. } => {
                format!("{part} dies at {point} after {passes} passes")
            }
            Self::Weather { link, weather, hold } => lasting(format!("{link}: {}", sky(*weather)), hold),
            Self::Cut { link } => format!("{link}: all connections reset"),
            Self::DiskFull { part, hold } => lasting(format!("disk of {part} is full"), hold),
            Self::Clock { part, shift, hold } => lasting(format!("clock of {part} is {shift:+} s off"), hold),
            Self::RepeatEvents { topics, copies, .. } => {
                format!("all events of {} {copies} times again", topics.join(", "))
            }
            Self::Poison { topic, kind, count, .. } => {
                let kind = match kind {
                    Poison::Unreadable => "unreadable messages",
                    Poison::Garbage => "events with unreadable data",
                    Poison::Stranger => "events of something unknown",
                };
                format!("{count} {kind} on {topic}")
            }
            Self::RefuseRows { rows, hold } => {
                lasting(format!("{} takes only rows with {}", rows.table, rows.check), hold)
            }
            Self::Provider { provider, hold } => {
                let mut how = Vec::new();
                if provider.down {
                    how.push("down".to_owned());
                }
                if provider.latency_ms > 0 {
                    how.push(format!("{} ms slower", provider.latency_ms));
                }
                if provider.fail_before > 0.0 {
                    how.push(format!("{:.0} % fail", provider.fail_before * 100.0));
                }
                if provider.lose_answer > 0.0 {
                    how.push(format!("{:.0} % of answers are lost", provider.lose_answer * 100.0));
                }
                lasting(format!("payment provider: {}", how.join(", ")), hold)
            }
            Self::Faults { service, fault, hold } => {
                let kind = fault["kind"].as_str().unwrap_or("?");
                lasting(format!("{service}: {kind} on demand"), hold)
            }
        }
    }
}

fn sky(weather: Weather) -> String {
    match weather {
        Weather::Clear => "clear".to_owned(),
        Weather::Delay { ms, jitter_ms: 0 } => format!("{ms} ms late"),
        Weather::Delay { ms, jitter_ms } => format!("{ms} ± {jitter_ms} ms late"),
        Weather::Throttle { bytes_per_second } => format!("{bytes_per_second} bytes per second"),
        Weather::BlackHole => "a black hole".to_owned(),
        Weather::HalfOpen => "half open, no answers".to_owned(),
        Weather::Refuse => "refused".to_owned(),
    }
}
