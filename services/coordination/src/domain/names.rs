//! Names that clients choose: short, of few characters, and good in a path.

use std::fmt;

/// A name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(&'static str);

/// The name of a service, such as `orders`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

impl ServiceName {
    /// Whose settings are for everyone.
    pub const ALL: &'static str = "all";

    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().is_some_and(|first| first.is_ascii_lowercase());
        let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if first && text.len() <= 63 && text.chars().all(rest) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError("a service's name is a letter and up to 62 letters, digits, - or _, in lower case"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a lock is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockName(String);

impl LockName {
    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
        if (1..=128).contains(&text.len()) && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError("a lock's name is 1 to 128 letters, digits, or any of . _ : -"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who holds a lock. Nobody else may call themselves the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError("an owner is 1 to 200 visible ASCII characters"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["orders", "payment-simulator", "a", &"x".repeat(63)] {
            assert_eq!(ServiceName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "Orders", "9lives", "or ders", "örders", "orders/1", &"x".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["nightly:report", "a", "Stock_1.2", &"x".repeat(128)] {
            assert_eq!(LockName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "ä", "a\0", &"x".repeat(129)] {
            assert!(LockName::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "\n", &"x".repeat(201)] {
            assert!(Owner::new(bad).is_err(), "{bad:?}");
        }
    }
}
