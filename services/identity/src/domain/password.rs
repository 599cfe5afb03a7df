//! Passwords and their hashes, in types that never show what they hold.

use std::fmt;

/// The shortest password, in characters (NIST SP 800-63B §5.1.1.2).
const SHORTEST: usize = 8;
/// The longest password, in characters.
const LONGEST: usize = 128;

/// A password as it was typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// Why a password may not be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too easily guessed.
    #[error("is shorter than {SHORTEST} characters")]
    TooShort,
    /// Hashing it would cost too much.
    #[error("is longer than {LONGEST} characters")]
    TooLong,
}

impl Password {
    /// A password that somebody chooses for an account. Characters are counted, not bytes; any character will do.
    pub fn choose(text: String) -> Result<Self, PasswordError> {
        // Few long texts get as far as being counted: no character takes more than four bytes.
        if text.len() > 4 * LONGEST {
            return Err(PasswordError::TooLong);
        }
        match text.chars().count() {
            ..SHORTEST => Err(PasswordError::TooShort),
            SHORTEST..=LONGEST => Ok(Self(text)),
            _ => Err(PasswordError::TooLong),
        }
    }

    /// A password that somebody tries. Any text: whether it is the right one, only the hash can say, and telling the
    /// rules apart from a wrong password would be of no use to anybody honest.
    pub fn attempt(text: String) -> Self {
        Self(text)
    }

    /// What is hashed. An attempt that is longer than any password ever was is cut: it is wrong either way.
    pub fn as_bytes(&self) -> &[u8] {
        let bytes = self.0.as_bytes();
        &bytes[..bytes.len().min(4 * LONGEST + 1)]
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// An argon2id hash in PHC string format, with its salt and costs.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a PHC string.
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// The PHC string, for the database and for verifying.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}
