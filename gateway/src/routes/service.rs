//! The services behind the door.

/// A service that requests are forwarded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Users, tokens, keys.
    Identity,
    /// Products and prices.
    Catalog,
    /// Stock and reservations.
    Inventory,
    /// Orders and their streams.
    Orders,
    /// Payments, refunds, webhooks.
    Payments,
    /// What runs, how it is set, who holds which lock.
    Coordination,
}

impl Service {
    /// Every service, in the order of declaration.
    pub const ALL: [Service; 6] = [
        Service::Identity,
        Service::Catalog,
        Service::Inventory,
        Service::Orders,
        Service::Payments,
        Service::Coordination,
    ];

    /// The name it goes by in configuration, metrics and `?service=`.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Identity => "identity",
            Service::Catalog => "catalog",
            Service::Inventory => "inventory",
            Service::Orders => "orders",
            Service::Payments => "payments",
            Service::Coordination => "coordination",
        }
    }

    /// The port it listens on unless told otherwise.
    pub const fn default_port(self) -> u16 {
        match self {
            Service::Coordination => 8081,
            Service::Catalog => 8082,
            Service::Inventory => 8083,
            Service::Orders => 8084,
            Service::Payments => 8087,
            Service::Identity => 8088,
        }
    }

    /// The service of that name.
    pub fn named(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.name() == name)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
