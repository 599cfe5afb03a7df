//! The profiles that come with the program.

use std::process::ExitCode;

/// Name and text of each.
const ALL: [(&str, &str); 9] = [
    ("smoke", include_str!("../../profiles/smoke.toml")),
    ("steady", include_str!("../../profiles/steady.toml")),
    ("flash-sale", include_str!("../../profiles/flash-sale.toml")),
    ("ten-thousand-streams", include_str!("../../profiles/ten-thousand-streams.toml")),
    ("ten-thousand-users", include_str!("../../profiles/ten-thousand-users.toml")),
    ("overload", include_str!("../../profiles/overload.toml")),
    ("reads", include_str!("../../profiles/reads.toml")),
    ("soak", include_str!("../../profiles/soak.toml")),
    ("replay", include_str!("../../profiles/replay.toml")),
];

/// The text of the one with this name.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(other, _)| *other == name).map(|(_, text)| *text)
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// Prints them with a line each.
pub fn list() -> ExitCode {
    for (name, text) in ALL {
        let about = super::check::parse(name, text).map(|profile| profile.about);
        println!("{name:<20} {}", about.unwrap_or_else(|error| error.to_string()));
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::check::parse;
    use super::*;

    #[test]
    fn every_shipped_profile_is_right() {
        for (name, text) in ALL {
            assert_eq!(parse(name, text).map(|profile| profile.name), Ok(name.to_owned()));
        }
    }
}
