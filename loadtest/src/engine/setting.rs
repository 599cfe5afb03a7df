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
