//! Where to begin in a topic, as people say it.

use std::str::FromStr;

use jiff::Timestamp;
use viscount_chassis::store::EventStore;

use crate::failure::Failure;

/// Where to begin in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the first event.
    Beginning,
    /// Behind the last event.
    End,
    /// Behind this position.
    Behind(i64),
    /// With the first event of this moment or later.
    At(Timestamp),
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Ok(position) = text.parse::<i64>()
            && position >= 0
        {
            return Ok(Self::Behind(position));
        }
        text.parse().map(Self::At).map_err(|_| {
            "neither a position (0, 1, 2, …), nor beginning, nor end, nor a time such as 2026-03-01T12:00:00Z".to_owned()
        })
    }
}

impl Begin {
    /// The position behind which to begin.
    pub async fn behind(self, store: &EventStore) -> Result<i64, Failure> {
        Ok(match self {
            Self::Beginning => 0,
            Self::End => store.head().await?,
            Self::At(moment) => store.before(moment).await?,
            Self::Behind(position) => {
                let head = store.head().await?;
                if position > head {
                    let topic = store.topic();
                    return Err(Failure::Usage(format!(
                        "--from {position}: {topic} ends at position {head}"
                    )));
                }
                position
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_position_a_word_or_a_time() {
        assert_eq!("0".parse(), Ok(Begin::Behind(0)));
        assert_eq!("beginning".parse(), Ok(Begin::Beginning));
        assert_eq!("end".parse(), Ok(Begin::End));
        assert_eq!("1970-01-01T00:00:00Z".parse(), Ok(Begin::At(Timestamp::UNIX_EPOCH)));
        for wrong in ["-1", "", "yesterday", "9223372036854775808", "2026-03-01", "1.5"] {
            assert!(wrong.parse::<Begin>().is_err(), "{wrong}");
        }
    }
}
