//! What a visitor of the shop is going to do. Pure: the same seed and number, the same plan.

use rand::{RngExt, rngs::StdRng};

use super::{Load, follow::Follow};

/// The most lines of an order.
const MOST_LINES: usize = 3;
/// The most pieces on a line.
const MOST_PIECES: u32 = 3;

/// A visit: one order and what its buyer does with it. Products and buyers are numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Who.
    pub buyer: usize,
    /// Product and pieces; each product once.
    pub lines: Vec<(usize, u32)>,
    /// The provider's test token.
    pub payment: String,
    /// The request is sent twice at once.
    pub at_once: bool,
    /// It is sent again once it was answered, after so many milliseconds.
    pub again_after: Option<u64>,
    /// Another body comes with the same key.
    pub other_body: bool,
    /// What else is done with the order.
    pub deed: Deed,
    /// How its stream is followed meanwhile.
    pub follow: Option<Follow>,
}

/// What a buyer does with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Trusts the shop.
    Nothing,
    /// Cancels it after so many milliseconds.
    Cancel(u64),
    /// Waits until it is final, and wants money back.
    Refund(Refund),
    /// Reads it until it is final.
    Read,
}

/// How money is asked back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refund {
    /// So much, in the currency's smallest unit; and when `rest`, all that is left with another key.
    Part {
        /// How much.
        amount: i64,
        /// Whether all that is left is asked for next.
        rest: bool,
    },
    /// All of it.
    All,
    /// All of it, twice at once with one key.
    Twice,
}

impl Plan {
    /// Of a visit.
    pub fn new(load: &Load, random: &mut StdRng) -> Self {
        let buyer = random.random_range(0..load.buyers as usize);
        let lines = lines(load.products as usize, random);
        let payment = payment(load, random);
        let mut chance = |share: f64| random.random::<f64>() < share;
        let (at_once, later, other_body) =
            (chance(load.repeat_at_once), chance(load.repeat_later), chance(load.other_body));
        let (stream, slow) = (chance(load.streams), chance(load.slow_readers));
        let again_after = random.random_range(0..3_000);
        Self {
            buyer,
            lines,
            payment,
            at_once,
            again_after: later.then_some(again_after),
            other_body,
            deed: deed(load, random),
            follow: followed(stream, slow.then_some(load.slow_pause), random),
        }
    }
}

fn lines(products: usize, random: &mut StdRng) -> Vec<(usize, u32)> {
    let wanted = random.random_range(1..=MOST_LINES.min(products));
    let first = random.random_range(0..products);
    // Neighbours, in an order of their own: two orders may want the same two products the other way round.
    let mut lines: Vec<_> =
        (0..wanted).map(|line| ((first + line) % products, random.random_range(1..=MOST_PIECES))).collect();
    if random.random() {
        lines.reverse();
    }
    lines
}

/// One of the payment tokens, each as often as it weighs.
pub fn payment(load: &Load, random: &mut StdRng) -> String {
    let mut at = random.random::<f64>() * load.payments.values().sum::<f64>();
    for (token, weight) in &load.payments {
        if at < *weight {
            return token.clone();
        }
        at -= weight;
    }
    // Sums of floats are not exact.
    load.payments.keys().next_back().cloned().unwrap_or_default()
}

fn deed(load: &Load, random: &mut StdRng) -> Deed {
    let mut at = random.random::<f64>();
    let (later, amount, kind) =
        (random.random_range(0..1_000), random.random_range(1..=300), random.random_range(0..4));
    for (share, deed) in [
        (load.cancel_now, Deed::Cancel(0)),
        (load.cancel_later, Deed::Cancel(later)),
        (
            load.refund,
            Deed::Refund(match kind {
                0 => Refund::Part { amount, rest: false },
                1 => Refund::Part { amount, rest: true },
                2 => Refund::All,
                _ => Refund::Twice,
            }),
        ),
        (load.read, Deed::Read),
    ] {
        if at < share {
            return deed;
        }
        at -= share;
    }
    Deed::Nothing
}

fn followed(stream: bool, pause: Option<std::time::Duration>, random: &mut StdRng) -> Option<Follow> {
    let (after, leaves, frames) =
        (random.random_range(0..6_u64), random.random::<f64>() < 0.25, random.random_range(1..=2));
    // Half of them from the beginning, the others from behind one of the first three versions.
    let after = after.saturating_sub(2);
    stream.then_some(Follow { after, leave_after: leaves.then_some(frames), pause })
}
