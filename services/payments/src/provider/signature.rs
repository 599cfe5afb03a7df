//! Signed webhooks: `t=<seconds since 1970>,v1=<HMAC-SHA256 of "t.body" in hex>`, as Stripe does it.
//!
//! The time is under the signature, so that a message that was listened to cannot be sent again later.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

/// The header that carries a signature.
pub const HEADER: &str = "Webhook-Signature";
/// How old a message may be, and how far its sender's clock may be ahead.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// What both sides know. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret that was agreed on.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// A secret that nobody has seen yet.
    pub fn random() -> Self {
        Self(format!("whsec_{}", hex(&rand::random::<[u8; 32]>())))
    }

    fn mac(&self, time: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length; there is no failure in practice.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).ok()?;
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        Some(mac)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not `t=…,v1=…`.
    #[error("the signature cannot be read")]
    Malformed,
    /// Too old, or from the future.
    #[error("the signature's time is too far from now")]
    Stale,
    /// Signed by somebody else, or changed on the way.
    #[error("the signature does not fit")]
    Forged,
}

/// The header's value for this body.
pub fn sign(secret: &Secret, now: Timestamp, body: &[u8]) -> String {
    let time = now.as_second().to_string();
    let tag = secret.mac(&time, body).map(|mac| hex(&mac.finalize().into_bytes())).unwrap_or_default();
    format!("t={time},v1={tag}")
}

/// Believes the body, or says why not. Of several `v1` one must fit (a sender that changes its secret signs with both).
pub fn verify(secret: &Secret, header: &str, body: &[u8], now: Timestamp) -> Result<(), SignatureError> {
    let mut time = None;
    let mut tags = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) if time.is_none() => time = Some(value),
            Some(("v1", value)) => tags.push(unhex(value).ok_or(SignatureError::Malformed)?),
            // Other schemes may stand beside ours.
            Some((name, _)) if name != "t" => {}
            _ => return Err(SignatureError::Malformed),
        }
    }
    let time = time.ok_or(SignatureError::Malformed)?;
    let signed_at = time.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let signed_at = signed_at.ok_or(SignatureError::Malformed)?;
    if tags.is_empty() {
        return Err(SignatureError::Malformed);
    }
    // `verify_slice` compares in constant time. The time is judged after the tag: a forger learns nothing from it.
    let fits = |tag: &Vec<u8>| secret.mac(time, body).is_some_and(|mac| mac.verify_slice(tag).is_ok());
    if !tags.iter().any(fits) {
        return Err(SignatureError::Forged);
    }
    if now.duration_since(signed_at).unsigned_abs() > TOLERANCE {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16);
    digits.chunks(2).map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    #[test]
    fn a_known_signature_fits() {
        // Computed with: printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test
        let expected = "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";
        let header = sign(&Secret::new("whsec_test"), at(1_700_000_000), b"{}");
        assert_eq!(header, expected);
        assert_eq!(verify(&Secret::new("whsec_test"), &header, b"{}", at(1_700_000_000)), Ok(()));
    }

    #[test]
    fn what_is_stale_or_forged_is_not_believed() {
        let (ours, theirs) = (Secret::new("ours"), Secret::new("theirs"));
        let header = sign(&ours, at(1_000), b"body");
        assert_eq!(verify(&ours, &header, b"body", at(1_300)), Ok(()));
        assert_eq!(verify(&ours, &header, b"body", at(1_301)), Err(SignatureError::Stale));
        assert_eq!(verify(&ours, &header, b"body", at(699)), Err(SignatureError::Stale));
        assert_eq!(verify(&theirs, &header, b"body", at(1_000)), Err(SignatureError::Forged));
        assert_eq!(verify(&ours, &header, b"b0dy", at(1_000)), Err(SignatureError::Forged));
        let later = header.replace("t=1000", "t=2000");
        assert_eq!(verify(&ours, &later, b"body", at(2_000)), Err(SignatureError::Forged));
    }

    #[test]
    fn a_sender_may_sign_with_an_old_and_a_new_secret() {
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let (first, second) = (sign(&old, at(5), b"x"), sign(&new, at(5), b"x"));
        let both = format!("{first},{}", second.trim_start_matches("t=5,"));
        assert_eq!(verify(&new, &both, b"x", at(5)), Ok(()));
    }

    proptest! {
        #[test]
        fn whatever_stands_in_the_header_is_refused(header in ".{0,80}", hexes in "t=[0-9]{1,12},v1=[0-9a-f]{0,64}") {
            for header in [header, hexes] {
                prop_assert!(verify(&Secret::new("s"), &header, b"x", at(0)).is_err());
            }
        }
    }
}
