//! The protobuf events, generated from `proto/`, and which topic each belongs to.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::Topic;

macro_rules! package {
    ($service:ident) => {
        #[allow(missing_docs, clippy::all)]
        pub mod $service {
            //! Generated from the service's protobuf package.
            pub mod v1 {
                //! Version 1.
                include!(concat!(env!("OUT_DIR"), "/viscount.", stringify!($service), ".v1.rs"));
            }
        }
    };
}

package!(common);
package!(catalog);
package!(inventory);
package!(orders);
package!(payments);
package!(identity);
package!(coordination);

/// An event that some service publishes.
pub trait Event: Message + Name + Default {
    /// Where it is published.
    const TOPIC: Topic;
    /// Its short name, as stored and as seen by clients: `OrderCreated`.
    const KIND: &'static str = <Self as Name>::NAME;
}

macro_rules! events {
    ($($topic:ident: $module:ident { $($event:ident),* $(,)? })*) => {
        $($(impl Event for $module::v1::$event { const TOPIC: Topic = Topic::$topic; })*)*

        /// Every kind of event there is, with its topic.
        pub const KINDS: &[(Topic, &str)] = &[$($((Topic::$topic, stringify!($event))),*),*];
    };
}

events! {
    Catalog: catalog { ProductCreated, ProductUpdated, PriceChanged, ProductDeleted, ProductOutOfStock }
    Inventory: inventory {
        InventoryReserved, InventoryRejected, InventoryReleased, InventoryDeducted, InventoryAdjusted,
        InventoryUpdated, LowStockAlert,
    }
    Orders: orders {
        OrderCreated, OrderValidated, OrderRejected, OrderPaymentNoted, OrderPaymentProcessed, OrderCompleted,
        OrderCancelled, OrderRefundRequested, OrderRefunded, OrderRefundFailed,
    }
    Payments: payments {
        PaymentProcessed, PaymentFailed, PaymentRefunded, PaymentRefundFailed, PaymentPending, PaymentCancelNoted,
        PaymentVoided, PaymentRefundPending,
    }
    Identity: identity { UserRegistered }
    Coordination: coordination {
        ServiceRegistered, ServiceDeregistered, ServiceHealthChanged, ConfigurationUpdated,
    }
}

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| {
    DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin")).as_ref()).ok()
});

/// The event as JSON (protobuf field names), for people and tools. `None` when the kind is unknown or the bytes are
/// not such a message.
pub fn to_json(topic: Topic, kind: &str, data: &[u8]) -> Option<serde_json::Value> {
    let name = format!("viscount.{}.v1.{kind}", topic.service());
    let descriptor = POOL.as_ref()?.get_message_by_name(&name)?;
    let message = DynamicMessage::decode(descriptor, data).ok()?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).ok()
}

/// The messages at the top of a file, in the order in which they stand there.
pub(crate) fn messages(file: &str) -> Vec<String> {
    let file = POOL.as_ref().and_then(|pool| pool.get_file_by_name(file));
    file.map(|file| file.messages().map(|message| message.name().to_owned()).collect()).unwrap_or_default()
}
