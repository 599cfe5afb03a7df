//! Which product is wanted how often: by Zipf's law the product of rank r is wanted in proportion to 1/r^s. With s = 0
//! all are wanted alike; around 1 is what shops and libraries see.

use rand::{Rng, RngExt};

/// Ranks 0 to n - 1 with their shares.
#[derive(Debug, Clone)]
pub struct Zipf {
    /// The sums of the shares up to each rank; the last one is 1.
    sums: Vec<f64>,
}

impl Zipf {
    /// So many ranks, at least one.
    pub fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = (1..=ranks.max(1))
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        for share in &mut sums {
            *share /= sum;
        }
        Self { sums }
    }

    /// A rank by chance.
    pub fn pick(&self, random: &mut impl Rng) -> usize {
        let mark: f64 = random.random();
        self.sums.partition_point(|sum| *sum <= mark).min(self.sums.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn ranks_come_in_proportion_to_their_inverse() {
        let (zipf, mut random) = (Zipf::new(1000, 1.0), StdRng::seed_from_u64(1));
        let mut counts = vec![0u32; 1000];
        for _ in 0..1_000_000 {
            counts[zipf.pick(&mut random)] += 1;
        }
        for rank in [2, 4, 10] {
            let ratio = f64::from(counts[0]) / f64::from(counts[rank - 1]);
            assert!((ratio / rank as f64 - 1.0).abs() < 0.05, "rank {rank}: {ratio}");
        }
    }

    #[test]
    fn without_an_exponent_all_are_alike() {
        let (zipf, mut random) = (Zipf::new(4, 0.0), StdRng::seed_from_u64(1));
        let mut counts = [0i32; 4];
        for _ in 0..40_000 {
            counts[zipf.pick(&mut random)] += 1;
        }
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 500), "{counts:?}");
    }

    proptest! {
        #[test]
        fn a_pick_is_a_rank(ranks in 1..500usize, exponent in 0.0..3.0f64, seed: u64) {
            let zipf = Zipf::new(ranks, exponent);
            prop_assert!(zipf.pick(&mut StdRng::seed_from_u64(seed)) < ranks);
        }
    }
}
