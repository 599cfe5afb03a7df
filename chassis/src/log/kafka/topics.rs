//! The topics on the brokers: made where they are missing, compared with what they should be, never changed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use viscount_contracts::{DeadLetterTopic, Retention, Topic, TopicSpec};

use super::{Inner, unavailable};
use crate::log::LogError;

/// How long the brokers may take for an answer.
const ASK: Duration = Duration::from_secs(5);

/// The setting that says how large a message may be.
const LIMIT: &str = "max.message.bytes";
/// For how long, and after which pauses, the settings of a new topic are asked for.
const SETTLES: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(100);

/// A topic of ours: its name without the prefix, and how it should be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) spec: TopicSpec,
}

impl From<Topic> for Wanted {
    fn from(topic: Topic) -> Self {
        Self { name: topic.name(), spec: topic.spec() }
    }
}

impl From<DeadLetterTopic> for Wanted {
    fn from(topic: DeadLetterTopic) -> Self {
        Self { name: topic.name(), spec: DeadLetterTopic::SPEC }
    }
}

/// What the brokers have.
struct Found {
    partitions: usize,
    replicas: usize,
}

/// What was done about a topic, or should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    /// Its name on the brokers.
    pub name: String,
    /// It was made just now.
    pub created: bool,
    /// Where it is not as it should be.
    pub differences: Vec<String>,
}

/// Which brokers these are.
pub(super) async fn cluster(inner: &Arc<Inner>) -> Result<String, LogError> {
    let id = inner.asker.ask(|client| client.fetch_cluster_id(ASK)).await?;
    id.ok_or_else(|| LogError::Unavailable("the brokers do not answer".to_owned()))
}

async fn find(inner: &Arc<Inner>, topic: Wanted) -> Result<(Option<Found>, usize), LogError> {
    let name = inner.config.prefixed(topic.name);
    let metadata = inner.asker.ask(move |client| client.fetch_metadata(Some(&name), ASK));
    let metadata = metadata.await?.map_err(unavailable)?;
    let name = inner.config.prefixed(topic.name);
    let found = metadata.topics().iter().find(|found| found.name() == name && found.error().is_none());
    let found = found.filter(|found| !found.partitions().is_empty()).map(|found| Found {
        partitions: found.partitions().len(),
        replicas: found.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0),
    });
    Ok((found, metadata.brokers().len()))
}

/// Makes a topic when it is missing. True when we have made it.
pub(super) async fn ensure(inner: &Arc<Inner>, topic: impl Into<Wanted>) -> Result<bool, LogError> {
    let topic = topic.into();
    let (found, brokers) = find(inner, topic).await?;
    if found.is_some() {
        return Ok(false);
    }
    let (name, spec) = (inner.config.prefixed(topic.name), topic.spec);
    let replicas = i32::from(spec.replicas).min(i32::try_from(brokers).unwrap_or(1)).max(1);
    let (wanted, partitions) = (name.clone(), i32::from(spec.partitions));
    let made = inner.asker.administer(move |admin, runtime| {
        let settings = settings(spec, replicas);
        let mut new = NewTopic::new(&wanted, partitions, TopicReplication::Fixed(replicas));
        for (setting, value) in &settings {
            new = new.set(setting, value);
        }
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        answered(runtime, admin.create_topics([&new], &options))
    });
    for result in made.await? {
        match result {
            Ok(_) => {}
            // By somebody else, a moment ago; or its leader was away when we asked.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(false),
            Err((_, code)) => return Err(LogError::Unavailable(format!("topic {name}: {code}"))),
        }
    }
    tracing::info!(topic = name, partitions = spec.partitions, replicas, "topic made");
    Ok(true)
}

/// Makes a topic when it is missing, and says where one that was there is not as it should be.
pub(super) async fn report(inner: &Arc<Inner>, topic: impl Into<Wanted>) -> Result<TopicReport, LogError> {
    let topic = topic.into();
    let created = ensure(inner, topic).await?;
    let name = inner.config.prefixed(topic.name);
    let mut report = TopicReport { name, created, differences: Vec::new() };
    if created {
        return Ok(report);
    }
    // First the settings: once they are there, so are the partitions.
    let is = known(inner, topic).await?;
    let ((found, _), spec) = (find(inner, topic).await?, topic.spec);
    if let Some(found) = found {
        let mut differs = |what: &str, is: usize, should: u8| {
            if is != usize::from(should) {
                report.differences.push(format!("{what} is {is}, should be {should}"));
            }
        };
        differs("partitions", found.partitions, spec.partitions);
        differs("replication", found.replicas, spec.replicas);
    }
    for (setting, should) in settings(spec, i32::from(spec.replicas)) {
        let is = is.get(setting).map_or("unknown", String::as_str);
        if is != should {
            report.differences.push(format!("{setting} is {is}, should be {should}"));
        }
    }
    Ok(report)
}

/// How large a message the topic takes.
pub(super) async fn limit(inner: &Arc<Inner>, topic: Topic) -> Result<usize, LogError> {
    let limit = known(inner, topic.into()).await?.get(LIMIT).and_then(|bytes| bytes.parse().ok());
    limit.ok_or_else(|| LogError::Unavailable("the topic's settings cannot be read".to_owned()))
}

/// Nothing was ever written to the topic.
pub(super) async fn is_new(inner: &Arc<Inner>, topic: Topic) -> Result<bool, LogError> {
    let name = inner.config.topic(topic);
    let asked = inner.asker.ask(move |client| {
        let metadata = client.fetch_metadata(Some(&name), ASK)?;
        let partitions: Vec<_> = metadata.topics().iter().flat_map(|topic| topic.partitions()).collect();
        // A topic of which nothing is known is not new.
        if partitions.is_empty() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        let mut unknown = None;
        for partition in partitions {
            match client.fetch_watermarks(&name, partition.id(), ASK) {
                // Also when all of it is gone by now: the next one has its number.
                Ok((_, next)) if next > 0 => return Ok(false),
                Ok(_) => {}
                Err(error) => unknown = Some(error),
            }
        }
        unknown.map_or(Ok(true), Err)
    });
    asked.await?.map_err(unavailable)
}

/// What is set for a topic, beyond partitions and replicas.
fn settings(spec: TopicSpec, replicas: i32) -> Vec<(&'static str, String)> {
    let (policy, millis) = match spec.retention {
        Retention::Unlimited => ("delete", -1),
        Retention::Compacted => ("compact", -1),
        Retention::Days(days) => ("delete", i64::from(days) * 24 * 60 * 60 * 1_000),
    };
    vec![
        ("cleanup.policy", policy.to_owned()),
        ("retention.ms", millis.to_string()),
        ("retention.bytes", "-1".to_owned()),
        ("min.insync.replicas", if replicas >= 3 { "2" } else { "1" }.to_owned()),
        (LIMIT, spec.max_message_bytes.to_string()),
    ]
}

/// The settings of a topic. One that was made a moment ago has none yet.
async fn known(inner: &Arc<Inner>, topic: Wanted) -> Result<BTreeMap<String, String>, LogError> {
    let begun = Instant::now();
    loop {
        let described = described(inner, topic).await;
        if described.as_ref().is_ok_and(|settings| settings.contains_key(LIMIT)) || begun.elapsed() > SETTLES
        {
            return described;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn described(inner: &Arc<Inner>, topic: Wanted) -> Result<BTreeMap<String, String>, LogError> {
    let name = inner.config.prefixed(topic.name);
    let asked = name.clone();
    let answer = inner.asker.administer(move |admin, runtime| {
        let options = AdminOptions::new().request_timeout(Some(ASK));
        answered(runtime, admin.describe_configs([&ResourceSpecifier::Topic(&asked)], &options))
    });
    let mut settings = BTreeMap::new();
    for resource in answer.await? {
        let resource = resource.map_err(|code| LogError::Unavailable(format!("topic {name}: {code}")))?;
        for entry in resource.entries {
            settings.extend(entry.value.map(|value| (entry.name, value)));
        }
    }
    Ok(settings)
}

/// Waits for the answer to a request, on a thread that may.
fn answered<T>(runtime: &Handle, answer: impl Future<Output = KafkaResult<T>>) -> Result<T, LogError> {
    let answer = runtime.block_on(async { timeout(2 * ASK, answer).await });
    answer.map_err(|_| LogError::Unavailable("the brokers do not answer".to_owned()))?.map_err(unavailable)
}
