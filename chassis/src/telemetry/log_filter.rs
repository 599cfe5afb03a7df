//! What is logged, and how that changes while the process runs.
//!
//! A process has one filter, and perhaps several services that each bring directives of their own: those in force are the
//! directives of all of them, in the order of their names; for the same target the last one counts. Without any, the filter
//! is the one that the process was started with. Changing it asks every place that logs once more whether it may; between
//! two changes it costs nothing.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::{EnvFilter, Registry};

use super::DEFAULT_FILTER;

static FILTER: OnceLock<Filter> = OnceLock::new();

struct Filter {
    handle: Handle<EnvFilter, Registry>,
    start: String,
    /// By who set them.
    set: Mutex<BTreeMap<&'static str, String>>,
}

/// The filter of the process, which [`set`] changes from now on. Empty text: [`DEFAULT_FILTER`].
pub(super) fn changeable(text: &str) -> Result<reload::Layer<EnvFilter, Registry>, ParseError> {
    let start = if text.is_empty() { DEFAULT_FILTER } else { text };
    let (layer, handle) = reload::Layer::new(EnvFilter::try_new(start)?);
    // Telemetry is set up once; a second attempt is refused by whoever installs it.
    let _ = FILTER.set(Filter { handle, start: start.to_owned(), set: Mutex::default() });
    Ok(layer)
}

/// Sets the directives that `owner` brings, or takes them away again.
///
/// # Errors
/// What is wrong with them; then nothing has changed. Without telemetry in this process there is nothing to change, and no
/// error.
pub fn set(owner: &'static str, directives: Option<&str>) -> Result<(), String> {
    if let Some(text) = directives {
        parse(text)?;
    }
    let Some(filter) = FILTER.get() else { return Ok(()) };
    let mut set = filter.set.lock();
    let mut wished = set.clone();
    match directives {
        Some(text) => wished.insert(owner, text.to_owned()),
        None => wished.remove(owner),
    };
    let text = match wished.is_empty() {
        true => filter.start.clone(),
        false => wished.values().map(String::as_str).collect::<Vec<_>>().join(","),
    };
    filter.handle.reload(parse(&text)?).map_err(|error| error.to_string())?;
    *set = wished;
    Ok(())
}

fn parse(text: &str) -> Result<EnvFilter, String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    EnvFilter::try_new(text).map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn may(target: &'static str) -> bool {
        match target {
            "a" => tracing::enabled!(target: "a", tracing::Level::DEBUG),
            _ => tracing::enabled!(target: "b", tracing::Level::DEBUG),
        }
    }

    #[test]
    fn directives_come_and_go_and_broken_ones_change_nothing() {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(changeable("info").unwrap()));
        tracing::subscriber::with_default(subscriber, || {
            assert!(!may("a") && !may("b"));
            set("orders", Some("info,a=debug")).unwrap();
            assert!(may("a") && !may("b"));
            set("payments", Some("b=debug")).unwrap();
            assert!(may("a") && may("b"));
            assert!(set("payments", Some("b=loud")).is_err() && set("payments", Some(" ")).is_err());
            assert!(may("a") && may("b"), "broken ones change nothing");
            set("orders", None).unwrap();
            assert!(!may("a") && may("b"));
            set("payments", None).unwrap();
            assert!(!may("a") && !may("b"), "back to the start");
        });
    }
}
