//! Typed ids. All are UUIDs, version 7 when we make them (RFC 9562): sortable by time, so that indexes stay local.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, version 7, of this moment.
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// What `to_string` gives (RFC 9562, section 4, in lower case), in one allocation and without the machinery of
            /// formatting: for events, which have several ids each.
            pub fn text(self) -> String {
                self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
            }

            /// The same id as a plain UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// One product of the catalogue.
    ProductId
);
id!(
    /// One order; also the key of its reservation and its payment.
    OrderId
);
id!(
    /// One reservation of stock, over one or several products.
    ReservationId
);
id!(
    /// One payment at the provider.
    PaymentId
);
id!(
    /// One act of returning money; has its effect once.
    RefundId
);
id!(
    /// One user; the subject of a token.
    UserId
);
id!(
    /// One event; the same however often it is delivered.
    EventId
);

impl ReservationId {
    /// The reservation that belongs to an order carries the order's own id.
    pub const fn of_order(order: OrderId) -> Self {
        Self(order.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text() {
        let id = OrderId::new();
        assert_eq!((id.text(), id.text().parse()), (id.to_string(), Ok(id)));
    }
}
