//! What a profile says, once it has been checked.

use std::collections::BTreeMap;

use crate::streams::Transport;

/// A whole profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name: the file's.
    pub name: String,
    /// What it is for, in one line.
    pub about: String,
    /// What everything random begins from.
    pub seed: u64,
    /// Customers that are registered for the run.
    pub customers: u32,
    /// What is in a basket.
    pub baskets: Baskets,
    /// One after the other.
    pub phases: Vec<Phase>,
}

/// What is in a basket.
#[derive(Debug, Clone, PartialEq)]
pub struct Baskets {
    /// Zipf's exponent over the products: 0 wants all alike.
    pub zipf: f64,
    /// Fewest and most lines.
    pub lines: (usize, usize),
    /// Fewest and most pieces of a line.
    pub pieces: (u32, u32),
    /// At most so many products of the catalogue.
    pub products: usize,
    /// Pieces of each product to receive before the load, with an administrator's token.
    pub restock: u32,
    /// The payment token.
    pub payment: String,
}

/// One stretch of load with a part of the report of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How long, warm-up included.
    pub seconds: f64,
    /// How long in the beginning nothing is measured.
    pub warm_up: f64,
    /// What makes the journeys begin.
    pub load: Load,
    /// Whether this phase's throughput is what rates in `unit = "peak"` are multiples of.
    pub sets_peak: bool,
    /// Whether the next phase waits until all orders are final.
    pub settle: bool,
    /// How often an order is tried under one key when the answer is missing or says "later".
    pub tries: u32,
    /// Seconds from its acceptance within which an order has to be final.
    pub final_within: f64,
    /// Streams that are held open meanwhile.
    pub streams: u32,
    /// What arrives, by share.
    pub journeys: Vec<Journey>,
    /// What has to be kept.
    pub objectives: BTreeMap<String, f64>,
}

/// What makes the journeys begin.
#[derive(Debug, Clone, PartialEq)]
pub enum Load {
    /// So many clients, each beginning its next journey when the last one has ended.
    Closed {
        /// How many.
        clients: u32,
        /// Seconds over which they begin.
        ramp_up: f64,
    },
    /// Journeys begin by a schedule, whatever the answers do.
    Open {
        /// Their rate over time.
        shape: Shape,
        /// Whether the rates are multiples of the peak.
        unit: Rate,
        /// Evenly spaced instead of by chance.
        even: bool,
    },
    /// Invoices of a file.
    Replay,
}

/// What a rate counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Journeys per second.
    PerSecond,
    /// Multiples of the peak.
    Peak,
}

/// The rate over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Always the same.
    Flat {
        /// The rate.
        rate: f64,
    },
    /// In a straight line.
    Ramp {
        /// At the beginning.
        from: f64,
        /// At the end.
        to: f64,
    },
    /// In stairs.
    Step {
        /// The first stair.
        from: f64,
        /// The last one.
        to: f64,
        /// How many.
        steps: u32,
    },
    /// One rate and for a while another.
    Spike {
        /// The usual rate.
        rate: f64,
        /// The other one.
        to: f64,
        /// Seconds after the beginning of the phase.
        at: f64,
        /// For so many seconds.
        lasts: f64,
    },
}

/// Steps that one customer takes one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Journey {
    /// Its name.
    pub name: String,
    /// Its share among the phase's journeys, in proportion to theirs.
    pub share: f64,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One thing that a customer does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Leafs through the catalogue.
    Browse {
        /// So many pages.
        pages: u32,
    },
    /// Looks for words of a product's name.
    Search,
    /// Looks at products.
    Product {
        /// How many.
        times: u32,
    },
    /// Orders a basket.
    Order {
        /// Another payment token than the profile's.
        payment: Option<String>,
        /// Seconds to wait for the final status in the same request (`Prefer: wait`).
        wait: Option<u32>,
    },
    /// Orders the one product that everybody wants.
    Hot {
        /// How many products are hot.
        products: usize,
        /// Pieces.
        pieces: u32,
    },
    /// Makes the last order's request once more, and wants the same answer.
    Retry,
    /// Cancels the last order.
    Cancel,
    /// Has the last order's money returned, when it is completed.
    Refund {
        /// Minor units; without it everything.
        amount: Option<i64>,
    },
    /// Follows the last order to its end.
    Follow {
        /// How.
        by: Transport,
    },
    /// Logs in again.
    Login,
    /// Asks who one is.
    Me,
    /// Lists the own orders.
    History,
    /// Does nothing for a time between these seconds.
    Think {
        /// The shortest time.
        least: f64,
        /// The longest.
        most: f64,
    },
}

impl Step {
    /// True when it is about the last order.
    pub fn needs_an_order(&self) -> bool {
        matches!(self, Self::Retry | Self::Cancel | Self::Refund { .. } | Self::Follow { .. })
    }

    /// True when it has a stream.
    pub fn streams(&self) -> bool {
        matches!(self, Self::Follow { .. })
    }

    /// True when it places an order.
    pub fn orders(&self) -> bool {
        matches!(self, Self::Order { .. } | Self::Hot { .. })
    }
}

impl Phase {
    /// True when its journeys place orders.
    pub fn orders(&self) -> bool {
        self.journeys.iter().any(|journey| journey.steps.iter().any(Step::orders))
    }
}
