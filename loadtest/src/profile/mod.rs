//! Profiles: what load there is, as data. A profile is TOML; it is checked as a whole before anything is asked of the
//! platform, and what is wrong is told with its place.

pub mod check;
pub mod model;
pub mod shipped;

use std::path::Path;

pub use self::model::{Journey, Load, Phase, Profile, Rate, Shape, Step};
use crate::failure::Failure;

/// The shipped profile of this name, or the one in this file.
pub fn load(name_or_path: &str) -> Result<Profile, Failure> {
    let told = |error: check::ProfileError| Failure::Other(error.to_string());
    if let Some(text) = shipped::text(name_or_path) {
        return check::parse(name_or_path, text).map_err(told);
    }
    let path = Path::new(name_or_path);
    let looks_like_a_path = path.extension().is_some() || path.components().count() > 1;
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Other(if looks_like_a_path {
            format!("{name_or_path}: {error}")
        } else {
            let names: Vec<_> = shipped::names().collect();
            format!("there is no profile {name_or_path}{}", check::instead(name_or_path, &names))
        })
    })?;
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("profile");
    check::parse(name, &text).map_err(|error| Failure::Other(format!("{name_or_path}: {error}")))
}
