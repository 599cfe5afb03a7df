//! What becomes of what passes.

use serde::{Deserialize, Serialize};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the target.
    Up,
    /// From the target to the client.
    Down,
}

impl Direction {
    /// The other one.
    pub fn reverse(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// What becomes of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Weather {
    /// Everything passes at once.
    #[default]
    Clear,
    /// Everything passes later, each way; order is kept.
    Delay {
        /// Milliseconds.
        ms: u64,
        /// So many more or fewer, by chance.
        #[serde(default)]
        jitter_ms: u64,
    },
    /// All connections together pass so much, each way.
    Throttle {
        /// Bytes per second.
        bytes_per_second: u64,
    },
    /// Connections and bytes are taken, and nothing goes on: a partition, from which packets do not come back either.
    BlackHole,
    /// What clients send goes on, and nothing comes back: requests have their effect, and nobody hears of it.
    HalfOpen,
    /// Open connections are reset, and new ones refused: nobody listens.
    Refuse,
}

impl Weather {
    /// Whether anything goes this way.
    pub fn carries(self, direction: Direction) -> bool {
        match self {
            Self::Clear | Self::Delay { .. } | Self::Throttle { .. } => true,
            Self::HalfOpen => direction == Direction::Up,
            Self::BlackHole | Self::Refuse => false,
        }
    }

    /// Why these numbers make no sense, if they do not.
    pub fn unsound(self) -> Option<&'static str> {
        match self {
            Self::Delay { ms, jitter_ms } if jitter_ms > ms => {
                Some("jitter_ms is larger than ms: nothing can arrive before it was sent")
            }
            Self::Delay { ms, .. } if ms == 0 || ms > 60_000 => Some("ms lies between 1 and 60000"),
            Self::Throttle { bytes_per_second } if !(100..=1_000_000_000).contains(&bytes_per_second) => {
                Some("bytes_per_second lies between 100 and 1000000000")
            }
            _ => None,
        }
    }
}
