//! Which journey a customer takes.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::profile::{Phase, Step};

/// Journeys with their shares.
pub struct Chooser {
    /// Sums of the shares up to each journey; the last is 1.
    sums: Vec<f64>,
    journeys: Vec<Vec<Step>>,
    seed: u64,
}

impl Chooser {
    /// The journeys of a phase.
    pub fn new(phase: &Phase, seed: u64) -> Self {
        let whole: f64 = phase.journeys.iter().map(|journey| journey.share).sum();
        let mut sum = 0.0;
        let sums = phase.journeys.iter().map(|journey| {
            sum += journey.share / whole;
            sum
        });
        let sums = sums.collect();
        Self { sums, journeys: phase.journeys.iter().map(|journey| journey.steps.clone()).collect(), seed }
    }

    /// The random choices of journey number so-and-so, and its steps.
    pub fn journey(&self, number: u64) -> (StdRng, &[Step]) {
        let mut random = StdRng::seed_from_u64(mix(self.seed, number));
        let mark: f64 = random.random();
        let chosen = self.sums.partition_point(|sum| *sum <= mark);
        let steps = self.journeys.get(chosen).or_else(|| self.journeys.last());
        (random, steps.map_or(&[], Vec::as_slice))
    }
}

/// Two numbers to one, so that neighbours have nothing in common (SplitMix64; Steele, Lea, Flood, 2014).
pub fn mix(seed: u64, number: u64) -> u64 {
    let mut mixed = seed ^ number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::profile::check::parse;

    #[test]
    fn journeys_come_by_their_shares_and_the_seed() {
        let text = r#"
            about = "t"
            [[phase]]
            name = "p"
            seconds = 1
            closed = { clients = 1 }
            [[phase.journey]]
            share = 3
            steps = [{ do = "search" }]
            [[phase.journey]]
            share = 0
            steps = [{ do = "login" }]
            [[phase.journey]]
            share = 1
            steps = [{ do = "me" }]
        "#;
        let profile = parse("t", text).unwrap();
        let chosen = |seed| -> Vec<Step> {
            let chooser = Chooser::new(&profile.phases[0], seed);
            (0..4_000).map(|number| chooser.journey(number).1[0].clone()).collect()
        };
        let searches = chosen(1).iter().filter(|step| **step == Step::Search).count();
        assert!((2_850..3_150).contains(&searches), "{searches}");
        assert!(!chosen(1).contains(&Step::Login));
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
    }
}
