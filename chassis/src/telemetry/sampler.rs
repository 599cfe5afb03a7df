//! Which traces are kept, decided where they begin (`OTEL_TRACES_SAMPLER`, the names of OpenTelemetry's specification).

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{self as sdk, SamplingDecision, SamplingResult, ShouldSample};

/// Which traces are kept. What fails is exported in any case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Follows whoever called, where somebody did.
    parent_based: bool,
    /// The part of the traces that is kept, from 0 to 1.
    ratio: f64,
}

impl Default for Sampler {
    /// `parentbased_always_on`, as the specification has it.
    fn default() -> Self {
        Sampler { parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// From `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, a ratio from 0 to 1 for the ones with `traceidratio`
    /// (1 when absent). The error says which of the two is wrong, and what would be right.
    pub fn named(name: Option<&str>, ratio: Option<&str>) -> Result<Self, (&'static str, &'static str)> {
        let name = name.unwrap_or("parentbased_always_on");
        let parent_based = name.starts_with("parentbased_");
        let ratio = match name.strip_prefix("parentbased_").unwrap_or(name) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => parse(ratio).ok_or(("OTEL_TRACES_SAMPLER_ARG", "write a ratio from 0 to 1"))?,
            _ => {
                let known =
                    "write always_on, always_off, traceidratio, or one of them with parentbased_ before it";
                return Err(("OTEL_TRACES_SAMPLER", known));
            }
        };
        Ok(Sampler { parent_based, ratio })
    }
}

fn parse(ratio: Option<&str>) -> Option<f64> {
    let ratio = ratio.map_or(Ok(1.0), str::parse).ok()?;
    (0.0..=1.0).contains(&ratio).then_some(ratio)
}

impl From<Sampler> for sdk::Sampler {
    /// Every process comes to the same verdict on one trace: it depends on the trace's id alone.
    fn from(sampler: Sampler) -> Self {
        let root = sdk::Sampler::TraceIdRatioBased(sampler.ratio);
        if sampler.parent_based { sdk::Sampler::ParentBased(Box::new(root)) } else { root }
    }
}

/// Records what is not sampled, too: it may fail yet, or something in it. A span that begins with links and without a
/// parent is for work of many traces: it is sampled when one of them is.
#[derive(Debug, Clone)]
pub(super) struct RecordAll(pub sdk::Sampler);

impl ShouldSample for RecordAll {
    fn should_sample(
        &self,
        within: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if !links.is_empty() && within.is_none_or(|within| !within.has_active_span()) {
            let sampled = links.iter().any(|link| link.span_context.is_sampled());
            let trace_state = TraceState::NONE;
            return SamplingResult { decision: decision(sampled), attributes: Vec::new(), trace_state };
        }
        let mut head = self.0.should_sample(within, trace, name, kind, attributes, links);
        head.decision = decision(head.decision == SamplingDecision::RecordAndSample);
        head
    }
}

fn decision(sampled: bool) -> SamplingDecision {
    if sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::RecordOnly }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::telemetry::context::TraceContext;

    /// Whether a span is sampled that has this parent, or none. It is recorded in any case.
    fn samples(sampler: Sampler, parent: Option<TraceContext>, trace: u128) -> bool {
        let within = parent.map(|parent| Context::new().with_remote_span_context(parent.into()));
        let verdict = RecordAll(sampler.into()).should_sample(
            within.as_ref(),
            TraceId::from(trace),
            "",
            &SpanKind::Internal,
            &[],
            &[],
        );
        assert_ne!(verdict.decision, SamplingDecision::Drop);
        verdict.decision == SamplingDecision::RecordAndSample
    }

    fn sampler(name: &str, ratio: Option<&str>) -> Sampler {
        Sampler::named(Some(name), ratio).unwrap()
    }

    fn parent(flags: &str) -> Option<TraceContext> {
        TraceContext::parse(&format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"))
    }

    #[test]
    fn a_parent_is_followed_only_where_the_name_says_so() {
        let (yes, no) = (parent("01"), parent("00"));
        let verdicts = |sampler: Sampler| [None, yes, no].map(|parent| samples(sampler, parent, 7));
        assert_eq!(verdicts(Sampler::default()), [true, true, false]);
        assert_eq!(verdicts(sampler("parentbased_always_off", None)), [false, true, false]);
        assert_eq!(verdicts(sampler("always_on", None)), [true; 3]);
        assert_eq!(verdicts(sampler("always_off", None)), [false; 3]);
    }

    #[test]
    fn a_ratio_keeps_that_part_of_the_traces() {
        let kept = |ratio: &str| {
            let sampler = sampler("traceidratio", Some(ratio));
            (0..10_000).filter(|_| samples(sampler, None, rand::random())).count()
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
