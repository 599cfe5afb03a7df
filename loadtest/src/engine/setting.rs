//! What the command line changes in a profile.

use crate::{
    cli::RunArgs,
    failure::Failure,
    profile::{Load, Phase, Profile, Rate, Shape},
};

/// The profile as it is to be run.
pub fn apply(mut profile: Profile, args: &RunArgs) -> Result<Profile, Failure> {
    profile.seed = args.seed.unwrap_or(profile.seed);
    for phase in &mut profile.phases {
        if let Some(seconds) = args.duration {
            stretch(phase, seconds);
        }
        if let Some(warm_up) = args.warm_up {
            phase.warm_up = warm_up;
        }
        if phase.warm_up >= phase.seconds {
            let what = format!("phase {}: --warm-up must be shorter than {} s", phase.name, phase.seconds);
            return Err(Failure::Other(what));
        }
        phase.streams = (f64::from(phase.streams) * args.scale).round() as u32;
        match &mut phase.load {
            Load::Closed { clients, .. } => {
                let wanted = f64::from(args.clients.unwrap_or(*clients)) * args.scale;
                *clients = (wanted.round() as u32).max(1);
            }
            Load::Open { shape, unit, .. } => {
                if let Some(rate) = args.rate {
                    *shape = shape.times(rate / shape.rate());
                    *unit = Rate::PerSecond;
                }
                *shape = shape.times(args.scale);
            }
            Load::Replay => {}
        }
    }
    if args.find_peak && !profile.phases.iter().any(|phase| matches!(phase.load, Load::Open { .. })) {
        let what = format!(
            "--find-peak searches the highest rate of an open loop, and the profile {} has none",
            profile.name
        );
        return Err(Failure::Other(what));
    }
    let mut peak_is_known = args.find_peak;
    for phase in &profile.phases {
        if matches!(phase.load, Load::Open { unit: Rate::Peak, .. }) && !peak_is_known {
            let what = format!(
                "phase {}: its rate is a multiple of the peak, and no phase before it sets one: use --find-peak or --rate",
                phase.name
            );
            return Err(Failure::Other(what));
        }
        peak_is_known |= phase.sets_peak;
    }
    Ok(profile)
}

/// Another length with everything in it in proportion.
fn stretch(phase: &mut Phase, seconds: f64) {
    let factor = seconds / phase.seconds;
    phase.seconds = seconds;
    phase.warm_up *= factor.min(1.0);
    match &mut phase.load {
        Load::Closed { ramp_up, .. } => *ramp_up *= factor,
        Load::Open { shape: Shape::Spike { at, lasts, .. }, .. } => {
            *at *= factor;
            *lasts *= factor;
        }
        _ => {}
    }
}

impl Shape {
    /// The rate that it is about.
    pub fn rate(self) -> f64 {
        match self {
            Self::Flat { rate } | Self::Spike { rate, .. } if rate > 0.0 => rate,
            Self::Ramp { from, to } | Self::Step { from, to, .. } => from.max(to),
            Self::Flat { rate } => rate,
            Self::Spike { to, .. } => to,
        }
    }

    /// The same shape, so many times higher.
    pub fn times(self, factor: f64) -> Self {
        match self {
            Self::Flat { rate } => Self::Flat { rate: rate * factor },
            Self::Ramp { from, to } => Self::Ramp { from: from * factor, to: to * factor },
            Self::Step { from, to, steps } => Self::Step { from: from * factor, to: to * factor, steps },
            Self::Spike { rate, to, at, lasts } => {
                Self::Spike { rate: rate * factor, to: to * factor, at, lasts }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        profile::check::parse,
    };

    const PROFILE: &str = r#"
about = "t"
[[phase]]
name = "peak"
seconds = 20
warm_up = 4
closed = { clients = 100, ramp_up = 2 }
sets_peak = true
[[phase.journey]]
steps = [{ do = "order" }]
[[phase]]
name = "sale"
seconds = 40
open = { schedule = "spike", rate = 0.5, to = 5, at = 10, lasts = 20, unit = "peak" }
[[phase.journey]]
steps = [{ do = "order" }]
"#;

    fn applied(text: &str, more: &[&str]) -> Result<Profile, String> {
        let all = ["viscount-loadtest", "run", "t"].iter().chain(more);
        let Command::Run(args) = Cli::try_parse_from(all).unwrap().command else { unreachable!() };
        apply(parse("t", text).unwrap(), &args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn without_options_a_profile_is_as_it_is() {
        assert_eq!(applied(PROFILE, &[]).unwrap(), parse("t", PROFILE).unwrap());
    }

    #[test]
    fn a_schedule_keeps_its_shape() {
        let profile = applied(PROFILE, &["--rate", "200", "--duration", "20", "--seed", "9"]).unwrap();
        let spike = Shape::Spike { rate: 200.0, to: 2_000.0, at: 5.0, lasts: 10.0 };
        assert_eq!(
            profile.phases[1].load,
            Load::Open { shape: spike, unit: Rate::PerSecond, even: false },
            "a rate that is given is no multiple"
        );
        assert_eq!((profile.seed, profile.phases[0].seconds, profile.phases[0].warm_up), (9, 20.0, 4.0));
    }

    #[test]
    fn clients_and_rates_are_scaled() {
        let profile = applied(PROFILE, &["--scale", "0.1", "--clients", "50"]).unwrap();
        assert_eq!(profile.phases[0].load, Load::Closed { clients: 5, ramp_up: 2.0 });
        let Load::Open { shape, unit, .. } = profile.phases[1].load else { unreachable!() };
        assert!((shape.rate() - 0.05).abs() < 1e-9 && unit == Rate::Peak);
    }

    #[test]
    fn a_phase_is_longer_than_its_warm_up() {
        assert_eq!(applied(PROFILE, &["--duration", "2"]).unwrap().phases[0].warm_up, 0.4);
        let message = applied(PROFILE, &["--warm-up", "30"]).unwrap_err();
        assert_eq!(message, "phase peak: --warm-up must be shorter than 20 s");
    }

    #[test]
    fn without_an_open_loop_there_is_no_peak_to_find() {
        let closed = &PROFILE[..PROFILE.rfind("[[phase]]").unwrap()];
        let message = applied(closed, &["--find-peak"]).unwrap_err();
        assert!(message.ends_with("the profile t has none"), "{message}");
        assert!(applied(PROFILE, &["--find-peak"]).is_ok());
    }

    #[test]
    fn a_multiple_of_an_unknown_peak_is_no_rate() {
        let text = PROFILE.replace("sets_peak = true", "");
        assert!(
            applied(&text, &[]).unwrap_err().starts_with("phase sale: its rate is a multiple of the peak")
        );
        assert!(applied(&text, &["--find-peak"]).is_ok());
        assert!(applied(&text, &["--rate", "10"]).is_ok());
    }
}
