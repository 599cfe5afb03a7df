//! Whether every broker has all messages that it should have a copy of.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaResult,
    metadata::Metadata,
};

/// For one question to the brokers.
const ASK: Duration = Duration::from_secs(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until all copies are in sync, as this broker knows it. One that is back knows of all that it has missed. Blocks.
#[expect(clippy::disallowed_methods, reason = "a thread for what blocks")]
pub(super) fn wait(broker: &str, within: Duration) -> Result<(), String> {
    let since = Instant::now();
    loop {
        let why = match ask(broker).map(|metadata| behind(&metadata)) {
            Ok(None) => return Ok(()),
            Ok(Some(why)) => why,
            Err(error) => error.to_string(),
        };
        if since.elapsed() > within {
            return Err(format!("not in sync within {within:?}: {why}"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// A client that has met the others might ask one of them.
fn ask(broker: &str) -> KafkaResult<Metadata> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", broker).create()?;
    client.fetch_metadata(None, ASK)
}

/// A partition that not all of its brokers have.
fn behind(metadata: &Metadata) -> Option<String> {
    metadata.topics().iter().find_map(|topic| {
        let partition =
            topic.partitions().iter().find(|partition| partition.isr().len() < partition.replicas().len())?;
        let (have, should) = (partition.isr().len(), partition.replicas().len());
        Some(format!("{} of {should} have {} {}", have, topic.name(), partition.id()))
    })
}
