//! The scenarios. Each takes the shape of one ordinary order: four lines, one payment, one refund.

mod inventory;
mod orders;
mod payments;
mod router;
mod tokens;
mod world;

use crate::Scenario;

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "order-life",
        about: "price four lines; create, validate, pay and complete an order: decide and evolve",
        prepare: orders::life,
    },
    Scenario {
        name: "order-encode",
        about: "the four events of that life as they are stored",
        prepare: orders::encode,
    },
    Scenario {
        name: "order-decode",
        about: "the four events of that life read back, and the order made of them",
        prepare: orders::decode,
    },
    Scenario {
        name: "stock-basket",
        about: "a reservation of four products: held, confirmed, sold; its movements added up",
        prepare: inventory::basket,
    },
    Scenario {
        name: "stock-encode",
        about: "the two events of that reservation as they are stored",
        prepare: inventory::encode,
    },
    Scenario {
        name: "payment-life",
        about: "an order charged and refunded: asks, decide and evolve",
        prepare: payments::life,
    },
    Scenario {
        name: "payment-codec",
        about: "the two events of that life stored, and the payment made of them",
        prepare: payments::codec,
    },
    Scenario {
        name: "router-ask",
        about: "a question to an entity that is alive, and its answer",
        prepare: router::ask,
    },
    Scenario {
        name: "router-crowd",
        about: "one of 64 questions at once to one entity, which takes them as a batch",
        prepare: router::crowd,
    },
    Scenario { name: "token-known", about: "a token that was good a moment ago", prepare: tokens::known },
];

/// The scenario of that name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_runs() {
        for scenario in ALL {
            (scenario.prepare)()(3);
        }
    }

    #[test]
    fn names_are_not_used_twice() {
        for scenario in ALL {
            assert_eq!(
                ALL.iter().filter(|other| other.name == scenario.name).count(),
                1,
                "{}",
                scenario.name
            );
        }
    }
}
