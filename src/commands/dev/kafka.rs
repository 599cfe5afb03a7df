//! `viscount dev kafka`: a broker by itself, or one of several.

use std::{process::ExitCode, time::Duration};

use serde_json::json;
use tokio::{task::spawn_blocking, time::interval};
use viscount_chassis::{
    devkafka::{DevKafka, DevKafkaConfig, DevKafkaError},
    ports,
};

use super::{asked_to_end, say};
use crate::{cli::DevKafkaArgs, failure::Failure};

/// How often to look whether the broker is still there.
const LOOK: Duration = Duration::from_millis(50);

/// Runs until it is told to end, or the broker does.
pub async fn run(args: DevKafkaArgs) -> Result<ExitCode, Failure> {
    let port = match args.port {
        0 => ports::free_port().map_err(|error| Failure::doing("no free port", error))?,
        port => port,
    };
    let mut config = DevKafkaConfig::new(args.data, port);
    config.advertise = args.advertise;
    config.node = args.node;
    config.voters = args.voters;
    if args.flush {
        config.settings.push("log.flush.interval.messages=1".to_owned());
    }
    // A start that is broken off would leave its watcher to end the broker: the signals are listened to meanwhile.
    let opening = blocking(move || DevKafka::open(&config));
    let mut broker = tokio::select! {
        opened = opening => opened?,
        asked = asked_to_end() => return asked.map(|()| ExitCode::SUCCESS),
    };
    let place = broker.brokers();
    say(&json!({
        "ready": true, "pid": broker.pid(), "port": port, "brokers": place, "direct": broker.direct(),
    }));
    let ended = async {
        let mut looks = interval(LOOK);
        while broker.pid().is_some() {
            looks.tick().await;
        }
    };
    tokio::select! {
        asked = asked_to_end() => asked?,
        () = ended => return Err(Failure::Other("kafka has ended".to_owned())),
    }
    blocking(move || broker.stop()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DevKafkaError> + Send + 'static,
) -> Result<T, Failure> {
    let outcome = spawn_blocking(work).await.map_err(|error| Failure::Other(error.to_string()))?;
    outcome.map_err(|error| Failure::Other(error.to_string()))
}
