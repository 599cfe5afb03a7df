//! A load in words, for the report.

use crate::profile::{Load, Phase, Rate, Shape};

/// Such as "256 clients" or "Poisson, 800 /s". `unit` is what the rates are multiples of.
pub fn load(phase: &Phase, unit: f64) -> String {
    let mut words = match &phase.load {
        Load::Closed { clients: 1, .. } => "closed loop, 1 client".to_owned(),
        Load::Closed { clients, .. } => format!("closed loop, {clients} clients"),
        Load::Open { shape, unit: of, even } => {
            let mut words = shape_in_words(*shape, *even, unit);
            if *of == Rate::Peak {
                words += &format!(" ({} × the peak)", number(shape.rate()));
            }
            words
        }
        Load::Replay => "invoices of a file".to_owned(),
    };
    if phase.streams > 0 {
        words += &format!(", beside {} open streams", phase.streams);
    }
    words
}

fn shape_in_words(shape: Shape, even: bool, unit: f64) -> String {
    let rate = |rate: f64| number(rate * unit);
    let spacing = if even { "evenly" } else { "by chance" };
    match shape {
        Shape::Flat { rate: flat } if even => format!("open loop, constant {} /s", rate(flat)),
        Shape::Flat { rate: flat } => format!("open loop, Poisson {} /s", rate(flat)),
        Shape::Ramp { from, to } => {
            format!("open loop, ramp from {} to {} /s, {spacing}", rate(from), rate(to))
        }
        Shape::Step { from, to, steps } => {
            format!("open loop, {steps} steps from {} to {} /s, {spacing}", rate(from), rate(to))
        }
        Shape::Spike { rate: usual, to, at, lasts } => format!(
            "open loop, {} /s, {spacing}, and {} /s from second {} for {} s",
            rate(usual),
            rate(to),
            number(at),
            number(lasts)
        ),
    }
}

/// Three digits are enough.
fn number(number: f64) -> String {
    if number >= 100.0 || number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::profile::check::parse;

    fn words(of: &str, peak: f64) -> String {
        let text = format!(
            "about = \"t\"\n[[phase]]\nname = \"p\"\nseconds = 9\n{of}\n[[phase.journey]]\nsteps = [{{ do = \"me\" }}]\n"
        );
        load(&parse("t", &text).unwrap().phases[0], peak)
    }

    #[test]
    fn a_load_can_be_read() {
        assert_eq!(words("closed = { clients = 256 }", 1.0), "closed loop, 256 clients");
        let half = r#"open = { schedule = "poisson", rate = 0.5, unit = "peak" }"#;
        assert_eq!(words(half, 3_210.0), "open loop, Poisson 1605 /s (0.50 × the peak)");
        let spike = r#"open = { schedule = "spike", rate = 20, to = 400, at = 3, lasts = 2, even = true }"#;
        assert_eq!(words(spike, 1.0), "open loop, 20 /s, evenly, and 400 /s from second 3 for 2 s");
        let streams = "streams = 10000\nopen = { schedule = \"constant\", rate = 200 }";
        assert_eq!(words(streams, 1.0), "open loop, constant 200 /s, beside 10000 open streams");
    }
}
