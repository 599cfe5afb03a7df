//! What a person wants to be called.

use std::fmt;

/// The longest name, in characters.
const LONGEST: usize = 100;

/// A name of 1 to 100 characters, without white space around it and without control characters.
#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(String);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or white space alone.
    #[error("must not be empty")]
    Empty,
    /// Longer than we keep.
    #[error("is longer than {LONGEST} characters")]
    TooLong,
    /// Line breaks, tabs, NUL and the like.
    #[error("must not hold control characters")]
    Control,
}

impl DisplayName {
    /// Reads a name; white space around it is dropped.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            Err(NameError::Empty)
        } else if text.chars().count() > LONGEST {
            Err(NameError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(NameError::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DisplayName {
    /// Personal data stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DisplayName(…)")
    }
}
