//! What can be done to a platform.

use std::{future::Future, time::Duration};

use serde_json::Value;

use crate::{
    experiment::{Poison, Provider, Rows},
    proxy::Weather,
};

/// Whether a process has died where it was meant to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has.
    Died,
    /// It goes on.
    Lives,
}

/// What can be done to a platform. Errors are for the report: they say what was not done.
pub trait Body: Send + Sync + 'static {
    /// `kill -9`; it is gone when this returns.
    fn kill(&self, part: &str) -> impl Future<Output = Result<(), String>> + Send;
    /// Starts it, and waits until it is ready, in further starts if it has to be. Gives how many it took.
    fn start(&self, part: &str, within: Duration) -> impl Future<Output = Result<u32, String>> + Send;
    /// Waits until a broker has all messages again that the others have. Nobody else has to.
    fn until_in_sync(&self, part: &str, within: Duration) -> impl Future<Output = Result<(), String>> + Send;
    /// Starts it, and waits for nothing.
    fn launch(&self, part: &str) -> impl Future<Output = Result<(), String>> + Send;
    /// Asks it to end, and waits for it.
    fn terminate(&self, part: &str) -> impl Future<Output = Result<(), String>> + Send;
    /// Ends a database server without a checkpoint.
    fn quit(&self, part: &str) -> impl Future<Output = Result<(), String>> + Send;
    /// Stops it in its tracks.
    fn pause(&self, part: &str) -> Result<(), String>;
    /// Lets it go on.
    fn resume(&self, part: &str) -> Result<(), String>;
    /// `FAILPOINTS` of its next start; none when absent.
    fn arm(&self, part: &str, failpoints: Option<String>) -> Result<(), String>;
    /// Waits until it has died at its point, which is by SIGKILL, or the time is over. Any other end is an error.
    fn until_died(&self, part: &str, within: Duration) -> impl Future<Output = Result<Fate, String>> + Send;
    /// Changes a link's weather.
    fn weather(&self, link: &str, weather: Weather) -> Result<(), String>;
    /// Resets all connections of a link.
    fn cut(&self, link: &str) -> Result<(), String>;
    /// Fills the volume of its data (`true`), or frees it.
    fn fill(&self, part: &str, full: bool) -> impl Future<Output = Result<(), String>> + Send;
    /// Its clock is so many seconds off.
    fn clock(&self, part: &str, shift: i64) -> impl Future<Output = Result<(), String>> + Send;
    /// Publishes all events so far again; gives how many messages that were.
    fn repeat(
        &self,
        topics: &[String],
        copies: u32,
        seed: u64,
    ) -> impl Future<Output = Result<u64, String>> + Send;
    /// Publishes what nobody can handle.
    fn poison(
        &self,
        topic: &str,
        kind: Poison,
        count: u32,
        seed: u64,
    ) -> impl Future<Output = Result<(), String>> + Send;
    /// Has a table refuse rows (`true`), or take them again.
    fn refuse(&self, rows: &Rows, refused: bool) -> impl Future<Output = Result<(), String>> + Send;
    /// How the payment provider behaves from now on.
    fn provider(&self, provider: Provider) -> impl Future<Output = Result<(), String>> + Send;
    /// Sets a fault on demand in all replicas of a service; takes it back when there is none.
    fn fault(
        &self,
        service: &str,
        id: &str,
        fault: Option<&Value>,
    ) -> impl Future<Output = Result<(), String>> + Send;
}
