//! When arrivals are meant to begin. Pure: a schedule and a seed give the same offsets each time, whatever the server does.
//!
//! A schedule is a rate over time, made of straight pieces. Arrival number n comes where the area under the rate reaches
//! a mark: evenly spaced marks give even arrivals, marks with exponential distances give a Poisson process, also one whose
//! rate changes (time rescaling; Çinlar, Introduction to Stochastic Processes, 1975).

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A rate over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pieces: Vec<Piece>,
    even: bool,
}

/// A stretch of time in which the rate goes straight from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    seconds: f64,
    from: f64,
    to: f64,
}

impl Schedule {
    /// Evenly spaced.
    pub fn constant(rate: f64, seconds: f64) -> Self {
        Self { pieces: vec![Piece { seconds, from: rate, to: rate }], even: true }
    }

    /// As independent customers come.
    pub fn poisson(rate: f64, seconds: f64) -> Self {
        Self { even: false, ..Self::constant(rate, seconds) }
    }

    /// From one rate to another in a straight line.
    pub fn ramp(from: f64, to: f64, seconds: f64) -> Self {
        Self { pieces: vec![Piece { seconds, from, to }], even: false }
    }

    /// From one rate to another in so many equal stairs.
    pub fn step(from: f64, to: f64, steps: u32, seconds: f64) -> Self {
        let last = steps.saturating_sub(1).max(1);
        let stairs = (0..steps.max(1)).map(|stair| {
            let rate = from + (to - from) * f64::from(stair) / f64::from(last);
            Piece { seconds: seconds / f64::from(steps.max(1)), from: rate, to: rate }
        });
        Self { pieces: stairs.collect(), even: false }
    }

    /// One rate, and for a while another.
    pub fn spike(rate: f64, to: f64, at: f64, lasts: f64, seconds: f64) -> Self {
        let at = at.min(seconds);
        let lasts = lasts.min(seconds - at);
        let flat = |seconds, rate| Piece { seconds, from: rate, to: rate };
        Self { pieces: vec![flat(at, rate), flat(lasts, to), flat(seconds - at - lasts, rate)], even: false }
    }

    /// The same with evenly spaced arrivals.
    pub fn even(self) -> Self {
        Self { even: true, ..self }
    }

    /// How long it lasts.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.pieces.iter().map(|piece| piece.seconds).sum())
    }

    /// How many arrivals it is made for.
    #[cfg(test)]
    fn expected(&self) -> f64 {
        self.pieces.iter().map(Piece::area).sum()
    }

    /// The offsets from the beginning, in order.
    pub fn arrivals(&self, seed: u64) -> Arrivals {
        Arrivals {
            pieces: self.pieces.clone().into_iter(),
            piece: None,
            passed: 0.0,
            mark: 0.0,
            random: (!self.even).then(|| StdRng::seed_from_u64(seed)),
            first: true,
        }
    }
}

impl Piece {
    fn area(&self) -> f64 {
        self.seconds * (self.from + self.to) / 2.0
    }

    /// Where the area under the rate is this much.
    fn at(&self, area: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        // The root of a square equation, written so that a flat rate needs no case of its own.
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        if area <= 0.0 { 0.0 } else { (2.0 * area / (self.from + root)).min(self.seconds) }
    }
}

/// Offsets from the beginning, in order.
pub struct Arrivals {
    pieces: std::vec::IntoIter<Piece>,
    piece: Option<Piece>,
    /// Seconds of the pieces that are over.
    passed: f64,
    /// How much area into the piece the last mark was.
    mark: f64,
    random: Option<StdRng>,
    first: bool,
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.mark += match &mut self.random {
            // From (0, 1], so that the logarithm is finite.
            Some(random) => -(1.0 - random.random::<f64>()).ln(),
            None if self.first => 0.5,
            None => 1.0,
        };
        self.first = false;
        loop {
            let piece = match self.piece {
                Some(piece) => piece,
                None => *self.piece.insert(self.pieces.next()?),
            };
            if self.mark < piece.area() {
                return Some(Duration::from_secs_f64(self.passed + piece.at(self.mark)));
            }
            self.mark -= piece.area();
            self.passed += piece.seconds;
            self.piece = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn any_schedule() -> impl Strategy<Value = Schedule> {
        let rate = 0.5..400.0f64;
        let seconds = 1.0..30.0f64;
        prop_oneof![
            (rate.clone(), seconds.clone()).prop_map(|(rate, seconds)| Schedule::constant(rate, seconds)),
            (rate.clone(), seconds.clone()).prop_map(|(rate, seconds)| Schedule::poisson(rate, seconds)),
            (0.0..400.0f64, rate.clone(), seconds.clone())
                .prop_map(|(from, to, seconds)| Schedule::ramp(from, to, seconds)),
            (rate.clone(), rate.clone(), 1..9u32, seconds.clone())
                .prop_map(|(from, to, steps, seconds)| Schedule::step(from, to, steps, seconds)),
            (rate.clone(), rate, 0.0..40.0f64, 0.0..40.0f64, seconds)
                .prop_map(|(rate, to, at, lasts, seconds)| Schedule::spike(rate, to, at, lasts, seconds)),
        ]
    }

    proptest! {
        #[test]
        fn arrivals_come_in_order_within_the_schedule_and_as_many_as_it_is_made_for(
            schedule in any_schedule(), seed: u64
        ) {
            let arrivals: Vec<_> = schedule.arrivals(seed).collect();
            prop_assert!(arrivals.is_sorted());
            prop_assert!(arrivals.iter().all(|at| *at <= schedule.length()));
            let (expected, got) = (schedule.expected(), arrivals.len() as f64);
            // Six standard deviations of a Poisson count.
            let room = if schedule.even { 1.0 } else { 6.0 * expected.sqrt() + 6.0 };
            prop_assert!((got - expected).abs() <= room, "{got} arrivals instead of {expected}");
        }

        #[test]
        fn the_same_seed_gives_the_same_arrivals(schedule in any_schedule(), seed: u64) {
            prop_assert!(schedule.arrivals(seed).eq(schedule.arrivals(seed)));
        }

        #[test]
        fn even_arrivals_follow_the_rate(schedule in any_schedule()) {
            let schedule = schedule.even();
            let arrivals: Vec<_> = schedule.arrivals(1).map(|at| at.as_secs_f64()).collect();
            let mut passed = 0.0;
            for piece in &schedule.pieces {
                let inside = arrivals.iter().filter(|at| (passed..passed + piece.seconds).contains(*at)).count();
                prop_assert!((inside as f64 - piece.area()).abs() <= 1.0 + 1e-6);
                passed += piece.seconds;
            }
        }
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced() {
        let arrivals: Vec<_> = Schedule::constant(4.0, 1.0).arrivals(0).map(|at| at.as_millis()).collect();
        assert_eq!(arrivals, [125, 375, 625, 875]);
    }

    #[test]
    fn a_spike_is_where_it_should_be() {
        let schedule = Schedule::spike(10.0, 100.0, 2.0, 1.0, 5.0).even();
        let inside = schedule.arrivals(0).filter(|at| (2.0..3.0).contains(&at.as_secs_f64())).count();
        assert_eq!((schedule.arrivals(0).count(), inside), (140, 100));
    }

    #[test]
    fn a_poisson_process_has_exponential_gaps() {
        let arrivals: Vec<_> =
            Schedule::poisson(1000.0, 60.0).arrivals(5).map(|at| at.as_secs_f64()).collect();
        let gaps: Vec<_> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 1000.0 - 1.0).abs() < 0.03, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03, "its deviation equals its mean");
    }

    #[test]
    fn another_seed_gives_other_arrivals() {
        let schedule = Schedule::poisson(50.0, 10.0);
        assert!(schedule.arrivals(1).ne(schedule.arrivals(2)));
    }
}
