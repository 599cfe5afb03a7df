//! What crosses a boundary between services, and nothing else.
//!
//! Domain code is never shared. Two services agree on exactly four things, and all of them live here: the protobuf
//! [`events`] they publish, the [`Topic`]s these travel on, the typed [`ids`] in them, and [`Money`].
//! An event on its way is an [`Envelope`]: CloudEvents attributes around protobuf bytes.

mod envelope;
pub mod events;
pub mod ids;
mod money;
mod quantity;
mod schema;
mod topic;

pub use envelope::{DecodeError, Envelope};
pub use events::Event;
pub use ids::*;
pub use money::{Currency, Money, MoneyError};
pub use quantity::{Quantity, QuantityError};
pub use schema::Schema;
pub use topic::{DeadLetterTopic, Retention, Topic, TopicSpec};
