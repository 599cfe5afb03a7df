//! Orders in PostgreSQL: events as protobuf, the projection that lists and reads are answered from.

mod codec;
mod projection;
mod writer;

pub use codec::{CodecError, decode, encode};
pub use projection::{Filter, Listed, Orders};
pub use writer::{OrdersWriter, Projection, Row};
