//! An e-mail address that mail could be sent to.
//!
//! Not the whole grammar of RFC 5322 (comments, quoted local parts): the practical subset that HTML forms accept,
//! plus letters of any script (RFC 6531). Whether the mailbox exists only a mail can tell.

use std::fmt;

/// The longest path that SMTP carries is 256 bytes with its angle brackets (RFC 5321 §4.5.3.1.3).
const LONGEST: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const LONGEST_LOCAL: usize = 64;
/// RFC 1035 §2.3.4.
const LONGEST_LABEL: usize = 63;

/// A well-formed address. Two that differ in case alone are the same account.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    written: String,
    key: String,
}

/// Why a text is no address that we accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Longer than mail can carry.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    /// No `@`, nothing before or behind it, or characters that do not belong there.
    #[error("is not an e-mail address")]
    Malformed,
}

impl EmailAddress {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if text.len() > LONGEST {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Malformed)?;
        if !is_local(local) || !is_domain(domain) {
            return Err(EmailError::Malformed);
        }
        Ok(Self { written: text.to_owned(), key: text.to_lowercase() })
    }

    /// As its owner wrote it.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The same in lower case: equal for every spelling of the address.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for EmailAddress {
    /// Personal data stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

/// A dot-atom of RFC 5321 §4.1.2.
fn is_local(local: &str) -> bool {
    let atext = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    local.len() <= LONGEST_LOCAL && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

/// Labels of letters, digits and inner hyphens. One label is enough: `admin@localhost` is an address.
fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= LONGEST_LABEL
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    })
}
