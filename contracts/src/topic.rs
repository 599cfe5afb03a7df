//! The topics: one per publishing service, keyed by aggregate id.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A stream of events that one service publishes. Events of one key keep their order; topics are not ordered
/// against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Topic {
    /// Products and their prices, keyed by product.
    Catalog,
    /// Reservations keyed by reservation, stock keyed by product.
    Inventory,
    /// The life of each order, keyed by order.
    Orders,
    /// Money taken and returned, keyed by order.
    Payments,
    /// Users, keyed by user.
    Identity,
    /// Instances, keyed by instance, and settings, keyed by the service they are for.
    Coordination,
}

impl Topic {
    /// Every topic there is.
    pub const ALL: [Topic; 6] = [
        Topic::Catalog,
        Topic::Inventory,
        Topic::Orders,
        Topic::Payments,
        Topic::Identity,
        Topic::Coordination,
    ];

    /// The name on the wire: `<service>.events.v1`.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Catalog => "catalog.events.v1",
            Topic::Inventory => "inventory.events.v1",
            Topic::Orders => "orders.events.v1",
            Topic::Payments => "payments.events.v1",
            Topic::Identity => "identity.events.v1",
            Topic::Coordination => "coordination.events.v1",
        }
    }

    /// How a broker should keep it.
    pub const fn spec(self) -> TopicSpec {
        let busy = TopicSpec {
            partitions: 6,
            replicas: 3,
            retention: Retention::Unlimited,
            max_message_bytes: 1_048_588,
        };
        match self {
            Topic::Inventory | Topic::Orders | Topic::Payments => busy,
            Topic::Catalog => TopicSpec { partitions: 3, ..busy },
            Topic::Identity | Topic::Coordination => TopicSpec { partitions: 1, ..busy },
        }
    }

    /// The service that publishes it.
    pub const fn service(self) -> &'static str {
        match self {
            Topic::Catalog => "catalog",
            Topic::Inventory => "inventory",
            Topic::Orders => "orders",
            Topic::Payments => "payments",
            Topic::Identity => "identity",
            Topic::Coordination => "coordination",
        }
    }
}

/// How a broker should keep a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicSpec {
    /// How many members of a group can share the work. More may be added later, when all groups have caught up: a key
    /// may move to another partition then.
    pub partitions: u8,
    /// On how many brokers each partition is; fewer where there are not so many.
    pub replicas: u8,
    /// How long events stay.
    pub retention: Retention,
    /// How large a message may be. The protocol's usual limit.
    pub max_message_bytes: u32,
}

/// How long events stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// For ever: a topic is history, and a new consumer begins at its beginning.
    Unlimited,
    /// The newest of each key, for ever: a topic of states.
    Compacted,
    /// So many days: what is kept elsewhere.
    Days(u16),
}

/// Where a service shows what its consumers could not handle: copies, for those who watch topics. The letters themselves are
/// in the service's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeadLetterTopic {
    service: Topic,
    name: &'static str,
}

impl DeadLetterTopic {
    /// One for each service that consumes.
    pub const ALL: [DeadLetterTopic; 4] = [
        DeadLetterTopic { service: Topic::Catalog, name: "catalog.dlq.v1" },
        DeadLetterTopic { service: Topic::Inventory, name: "inventory.dlq.v1" },
        DeadLetterTopic { service: Topic::Orders, name: "orders.dlq.v1" },
        DeadLetterTopic { service: Topic::Payments, name: "payments.dlq.v1" },
    ];

    /// How a broker should keep it. A letter is larger than the message in it.
    pub const SPEC: TopicSpec = TopicSpec {
        partitions: 1,
        replicas: 3,
        retention: Retention::Days(14),
        max_message_bytes: 2_097_152,
    };

    /// That of the service which publishes `service`; `None` when it consumes nothing.
    pub fn of(service: Topic) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.service == service)
    }

    /// The name on the wire: `<service>.dlq.v1`.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Topic> for &'static str {
    fn from(topic: Topic) -> Self {
        topic.name()
    }
}

impl FromStr for Topic {
    type Err = String;

    /// Takes the full name or the service's name alone.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Topic::ALL
            .into_iter()
            .find(|topic| topic.name() == text || topic.service() == text)
            .ok_or_else(|| format!("unknown topic {text:?}"))
    }
}

impl TryFrom<String> for Topic {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}
