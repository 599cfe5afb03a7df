//! Which traces are kept, decided where they begin (`OTEL_TRACES_SAMPLER`, the names of OpenTelemetry's specification).

use super::context::TraceContext;

/// Which traces are kept. What fails is exported in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    /// Follows whoever called, where somebody did.
    parent_based: bool,
    /// Of the 2⁶³ values that the lower half of a trace id can have without its last bit, those below are kept.
    below: u64,
}

/// All of them.
const ALL: u64 = 1 << 63;

impl Default for Sampler {
    /// `parentbased_always_on`, as the specification has it.
    fn default() -> Self {
        Sampler { parent_based: true, below: ALL }
    }
}

impl Sampler {
    /// From `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, a ratio from 0 to 1 for the ones with `traceidratio`
    /// (1 when absent). The error says which of the two is wrong, and what would be right.
    pub fn named(name: Option<&str>, ratio: Option<&str>) -> Result<Self, (&'static str, &'static str)> {
        let name = name.unwrap_or("parentbased_always_on");
        let parent_based = name.starts_with("parentbased_");
        let below = match name.strip_prefix("parentbased_").unwrap_or(name) {
            "always_on" => ALL,
            "always_off" => 0,
            "traceidratio" => {
                threshold(ratio).ok_or(("OTEL_TRACES_SAMPLER_ARG", "write a ratio from 0 to 1"))?
            }
            _ => {
                let known =
                    "write always_on, always_off, traceidratio, or one of them with parentbased_ before it";
                return Err(("OTEL_TRACES_SAMPLER", known));
            }
        };
        Ok(Sampler { parent_based, below })
    }

    /// Whether a span is kept that has this parent, or none. Every process comes to the same verdict on one trace.
    pub fn samples(self, parent: Option<TraceContext>, trace_id: u128) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.is_sampled(),
            _ => (trace_id as u64) >> 1 < self.below,
        }
    }
}

fn threshold(ratio: Option<&str>) -> Option<u64> {
    let ratio = ratio.map_or(Ok(1.0), str::parse::<f64>).ok()?;
    (0.0..=1.0).contains(&ratio).then_some((ratio * ALL as f64) as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sampler(name: &str, ratio: Option<&str>) -> Sampler {
        Sampler::named(Some(name), ratio).unwrap()
    }

    fn parent(flags: &str) -> Option<TraceContext> {
        TraceContext::parse(&format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"))
    }

    #[test]
    fn a_parent_is_followed_only_where_the_name_says_so() {
        let (yes, no) = (parent("01"), parent("00"));
        let verdicts = |sampler: Sampler| [None, yes, no].map(|parent| sampler.samples(parent, 7));
        assert_eq!(verdicts(Sampler::default()), [true, true, false]);
        assert_eq!(verdicts(sampler("parentbased_always_off", None)), [false, true, false]);
        assert_eq!(verdicts(sampler("always_on", None)), [true; 3]);
        assert_eq!(verdicts(sampler("always_off", None)), [false; 3]);
    }

    #[test]
    fn a_ratio_keeps_that_part_of_the_traces() {
        let kept = |ratio: &str| {
            let sampler = sampler("traceidratio", Some(ratio));
            (0..10_000).filter(|_| sampler.samples(None, rand::random())).count()
        };
        assert_eq!((kept("0"), kept("1")), (0, 10_000));
        assert!((800..1_200).contains(&kept("0.1")));
        assert_eq!(sampler("traceidratio", None), sampler("always_on", None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(Sampler::named(Some("sometimes"), None).unwrap_err().0, "OTEL_TRACES_SAMPLER");
        for ratio in ["1.1", "-0.1", "NaN", "a tenth", "10%"] {
            let refused = Sampler::named(Some("traceidratio"), Some(ratio)).unwrap_err();
            assert_eq!(refused.0, "OTEL_TRACES_SAMPLER_ARG", "{ratio}");
        }
    }
}
