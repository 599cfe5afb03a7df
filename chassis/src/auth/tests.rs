//! Tests of the token check: whom it believes, whom not, and what it forgets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use viscount_contracts::UserId;

use super::testing::{AUDIENCE, ISSUER, TestIssuer};
use super::verifier::UnknownKey;
use super::*;

fn now() -> i64 {
    Timestamp::now().as_second()
}

fn good() -> Value {
    json!({"sub": UserId::new(), "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 60, "iat": now(), "roles": ["customer"]})
}

/// A token with any header and payload; the signature is up to the caller.
fn forge(header: &Value, payload: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(payload), URL_SAFE_NO_PAD.encode(signature))
}

/// A rightly signed token with any claims.
fn signed(issuer: &TestIssuer, pkcs8: &[u8], change: impl FnOnce(&mut Header), claims: &Value) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(issuer.key().kid().to_owned());
    change(&mut header);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(pkcs8)).unwrap()
}

struct Known {
    issuer: TestIssuer,
    verifier: Verifier,
    pkcs8: Vec<u8>,
}

fn known() -> Known {
    let pkcs8 = SigningKey::generate_pkcs8().unwrap();
    let issuer = TestIssuer::with_key(SigningKey::from_pkcs8(&pkcs8).unwrap());
    Known { verifier: issuer.verifier(), issuer, pkcs8 }
}

#[test]
fn a_good_token_makes_a_principal() {
    let Known { issuer, verifier, .. } = known();
    let subject = UserId::new();
    let claims = issuer.claims(subject, [Role::Customer, Role::Admin]);
    let token = issuer.sign(&claims);
    let first = verifier.verify(&token).unwrap();
    assert_eq!(first.subject, subject);
    assert!(first.is_admin() && first.has(Role::Customer) && !first.has(Role::Service));
    assert_eq!(first.expires_at.as_second(), claims.exp);
    assert_eq!(first.token_id, claims.jti);
    assert!(first.require(Role::Admin).is_ok());
    assert_eq!(first.require(Role::Service).unwrap_err().status, 403);
    let second = verifier.verify(&token).unwrap();
    assert!(Arc::ptr_eq(&first, &second), "the verdict is remembered");
}

#[test]
fn es256_is_believed_too() {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EncodingKey::from_ec_der(document.as_ref());
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("ec".to_owned());
    let issuer = TestIssuer::new();
    let verifier = issuer.verifier_from(JwksSource::Static(JwkSet { keys: vec![jwk] }));
    let claims = issuer.claims(UserId::new(), [Role::Service]);
    let token = sign(&claims, &key, "ec", Algorithm::ES256).unwrap();
    assert!(verifier.verify(&token).unwrap().has(Role::Service));
    assert!(matches!(sign(&claims, &key, "ec", Algorithm::HS256), Err(SignError::Algorithm(_))));
}

#[test]
fn the_algorithm_follows_from_the_key() {
    let Known { issuer, verifier, .. } = known();
    let kid = issuer.key().kid();
    for alg in ["none", "None", "NONE", "", "HS256", "RS256", "EdDSA", "ES256"] {
        let unsigned = forge(&json!({"alg": alg, "typ": "JWT", "kid": kid}), &good(), b"");
        assert!(verifier.verify(&unsigned).is_err(), "{alg}");
    }
    // The classic confusion: the public key, known to all, as the secret of an HMAC.
    let AlgorithmParameters::OctetKeyPair(public) = &issuer.key().public().algorithm else {
        panic!("not an Ed25519 key")
    };
    for secret in [URL_SAFE_NO_PAD.decode(&public.x).unwrap(), public.x.clone().into_bytes()] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(kid.to_owned());
        let token = jsonwebtoken::encode(&header, &good(), &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(verifier.verify(&token), Err(AuthError::Rejected("algorithm")));
    }
}

#[test]
fn a_symmetric_key_in_the_set_is_not_a_key() {
    let set = json!({"keys": [
        {"kty": "oct", "kid": "shared", "k": URL_SAFE_NO_PAD.encode("secret")},
        {"kty": "future", "kid": "unknown", "whatever": 1},
    ]});
    let issuer = TestIssuer::new();
    let verifier = issuer.verifier_from(JwksSource::Static(serde_json::from_value(set).unwrap()));
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("shared".to_owned());
    let token = jsonwebtoken::encode(&header, &good(), &EncodingKey::from_secret(b"secret")).unwrap();
    assert_eq!(verifier.verify(&token), Err(AuthError::Rejected("unknown key")));
}

#[test]
fn every_claim_counts() {
    let Known { issuer, verifier, pkcs8 } = known();
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        signed(&issuer, &pkcs8, |_| {}, &claims)
    };
    let without = |name: &str| {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        signed(&issuer, &pkcs8, |_| {}, &claims)
    };
    assert!(verifier.verify(&signed(&issuer, &pkcs8, |_| {}, &good())).is_ok());
    let refused = [
        (with("iss", json!("https://elsewhere.test")), AuthError::Rejected("issuer")),
        (with("iss", Value::Null), AuthError::Rejected("claims")),
        (without("iss"), AuthError::Rejected("claims")),
        (with("aud", json!("somebody-else")), AuthError::Rejected("audience")),
        (with("aud", json!(["somebody-else"])), AuthError::Rejected("audience")),
        (with("aud", json!([])), AuthError::Rejected("audience")),
        (without("aud"), AuthError::Rejected("claims")),
        (with("sub", json!("alice")), AuthError::Rejected("claims")),
        (without("sub"), AuthError::Rejected("claims")),
        (with("exp", json!(now() - 6)), AuthError::Expired),
        (with("exp", json!(-1)), AuthError::Rejected("claims")),
        (with("exp", json!("soon")), AuthError::Rejected("claims")),
        (with("exp", json!(i64::MAX)), AuthError::Rejected("expiry")),
        (with("exp", json!(u64::MAX)), AuthError::Rejected("claims")),
        (without("exp"), AuthError::Rejected("claims")),
        (with("nbf", json!(now() + 60)), AuthError::Rejected("not yet valid")),
        (with("roles", json!("admin")), AuthError::Rejected("claims")),
    ];
    for (token, expected) in refused {
        assert_eq!(verifier.verify(&token), Err(expected), "{token}");
    }
    assert!(verifier.verify(&with("aud", json!(["other", AUDIENCE]))).is_ok());
    assert!(verifier.verify(&with("exp", json!(now() - 1))).is_ok(), "clocks may differ a little");
    let nobody = verifier.verify(&with("roles", json!(["root", "superuser"]))).unwrap();
    assert!(nobody.roles.is_empty(), "a role that we do not know gives nothing");
    assert!(verifier.verify(&without("roles")).unwrap().roles.is_empty());
}

#[test]
fn every_header_counts() {
    let Known { issuer, verifier, pkcs8 } = known();
    let token = |change: fn(&mut Header)| signed(&issuer, &pkcs8, change, &good());
    assert_eq!(verifier.verify(&token(|header| header.kid = None)), Err(AuthError::Rejected("no key named")));
    let unknown = token(|header| header.kid = Some("other".to_owned()));
    assert_eq!(verifier.verify(&unknown), Err(AuthError::Rejected("unknown key")));
    let critical = token(|header| header.crit = Some(vec!["exp".to_owned()]));
    assert_eq!(verifier.verify(&critical), Err(AuthError::Rejected("critical header")));
}

#[test]
fn a_changed_token_is_refused() {
    let Known { issuer, verifier, .. } = known();
    let token = issuer.token(UserId::new(), Role::Customer);
    let parts: Vec<_> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["roles"] = json!(["admin"]);
    let promoted = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2]);
    assert_eq!(verifier.verify(&promoted), Err(AuthError::Rejected("signature")));
    let stranger = TestIssuer::new();
    let other = signed(&issuer, &SigningKey::generate_pkcs8().unwrap(), |_| {}, &good());
    assert_eq!(
        verifier.verify(&other),
        Err(AuthError::Rejected("signature")),
        "a stranger under our key's name"
    );
    assert!(stranger.verifier().verify(&token).is_err());
    assert_eq!(verifier.verify(&"x".repeat(9000)), Err(AuthError::Malformed));
}

#[test]
fn a_verdict_ends_with_the_token() {
    let Known { issuer, verifier, .. } = known();
    let token = issuer.token(UserId::new(), Role::Customer);
    let expires = verifier.verify(&token).unwrap().expires_at.as_second();
    assert!(matches!(verifier.attempt(&token, expires + 5), Ok(Ok(_))));
    assert_eq!(verifier.attempt(&token, expires + 6), Ok(Err(AuthError::Expired)));
}

#[test]
fn a_verdict_ends_with_the_key() {
    let Known { issuer, verifier, .. } = known();
    let token = issuer.token(UserId::new(), Role::Customer);
    let first = verifier.verify(&token).unwrap();

    let next = TestIssuer::new();
    let both = JwkSet { keys: vec![issuer.key().public().clone(), next.key().public().clone()] };
    verifier.install(&both);
    assert!(Arc::ptr_eq(&first, &verifier.verify(&token).unwrap()), "a new key beside it changes nothing");

    verifier.install(&next.jwks());
    assert_eq!(verifier.attempt(&token, now()), Err(UnknownKey));
    assert_eq!(verifier.verify(&token), Err(AuthError::Rejected("unknown key")));

    verifier.install(&issuer.jwks());
    assert!(verifier.verify(&token).is_ok());
}

#[test]
fn a_new_key_under_an_old_name_does_not_inherit_verdicts() {
    let Known { issuer, verifier, .. } = known();
    let token = issuer.token(UserId::new(), Role::Customer);
    assert!(verifier.verify(&token).is_ok());
    let mut usurper = TestIssuer::new().key().public().clone();
    usurper.common.key_id = Some(issuer.key().kid().to_owned());
    verifier.install(&JwkSet { keys: vec![usurper] });
    assert_eq!(verifier.verify(&token), Err(AuthError::Rejected("signature")));
}

#[test]
fn the_bearer_is_read_as_rfc_6750_has_it() {
    assert_eq!(bearer(b"Bearer abc.def"), Ok("abc.def"));
    assert_eq!(bearer(b"bEARER  abc "), Ok("abc"));
    for bad in
        [&b"Bearer"[..], b"Bearer ", b"Basic abc", b"abc", b"Bearer a b", b"Bearer \xff", b"", b"Bearer a\tb"]
    {
        assert_eq!(bearer(bad), Err(AuthError::Malformed), "{bad:?}");
    }
}

#[test]
fn roles_are_words() {
    let roles = Roles::from_iter([Role::Service, Role::Customer]);
    assert_eq!(serde_json::to_value(roles).unwrap(), json!(["customer", "service"]));
    assert_eq!(serde_json::from_str::<Roles>(r#"["service","\u0063ustomer","king"]"#).unwrap(), roles);
    assert!("Admin".parse::<Role>().is_err());
}

proptest! {
    /// Whatever is sent, the answer is a refusal and not a panic.
    #[test]
    fn hostile_tokens_are_refused(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), rest in "\\PC{0,40}") {
        let verifier = TestIssuer::new().verifier();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        for token in [format!("{}.{}.{rest}", part(&header), part(&payload)), rest.clone(), format!("{rest}.{rest}.{rest}")] {
            prop_assert!(verifier.verify(&token).is_err());
        }
    }
}

/// Identity, as far as a verifier sees it: one endpoint, whose keys can change and which can be away.
struct FakeIdentity {
    url: String,
    body: Arc<Mutex<Option<String>>>,
    asked: watch::Receiver<usize>,
}

impl FakeIdentity {
    async fn start(body: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
        let body = Arc::new(Mutex::new(body));
        let (count, asked) = watch::channel(0);
        let served = Arc::clone(&body);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let answer = match &*served.lock() {
                    Some(body) => format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    ),
                    None => "HTTP/1.1 503 Away\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                count.send_modify(|count| *count += 1);
            }
        });
        FakeIdentity { url, body, asked }
    }

    fn serve(&self, set: &JwkSet) {
        *self.body.lock() = Some(serde_json::to_string(set).unwrap());
    }

    fn verifier(&self, issuer: &TestIssuer) -> Verifier {
        let verifier = issuer.verifier_from(JwksSource::Url(self.url.clone()));
        tokio::spawn(verifier.clone().refresh_forever());
        verifier
    }

    async fn asked_at_least(&mut self, count: usize) {
        let waited =
            tokio::time::timeout(Duration::from_secs(20), self.asked.wait_for(|asked| *asked >= count));
        waited.await.expect("identity was not asked").unwrap();
    }
}

#[tokio::test]
async fn keys_are_fetched_and_a_rotation_needs_no_restart() {
    let (old, new) = (TestIssuer::new(), TestIssuer::new());
    let identity = FakeIdentity::start(None).await;
    identity.serve(&old.jwks());
    let verifier = identity.verifier(&old);
    let token = old.token(UserId::new(), Role::Customer);
    assert!(verifier.verify_fresh(&token).await.is_ok(), "waits for the first keys");

    identity.serve(&new.jwks());
    let fresh = new.token(UserId::new(), Role::Customer);
    assert!(verifier.verify_fresh(&fresh).await.is_ok(), "asks again when it meets a new key");
    assert_eq!(
        verifier.verify(&token),
        Err(AuthError::Rejected("unknown key")),
        "and forgets the withdrawn one"
    );
}

#[tokio::test]
async fn without_keys_it_is_our_fault_and_not_the_callers() {
    let issuer = TestIssuer::new();
    let mut identity = FakeIdentity::start(None).await;
    let verifier = identity.verifier(&issuer);
    let token = issuer.token(UserId::new(), Role::Customer);
    assert_eq!(verifier.verify(&token), Err(AuthError::KeysUnavailable));
    assert_eq!(crate::problem::Problem::from(AuthError::KeysUnavailable).status, 503);
    identity.asked_at_least(2).await;
    identity.serve(&issuer.jwks());
    let waiting = async {
        while verifier.verify_fresh(&token).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("identity came back");
}

#[tokio::test]
async fn the_last_known_keys_stay_while_identity_is_away_or_confused() {
    let issuer = TestIssuer::new();
    let mut identity = FakeIdentity::start(None).await;
    identity.serve(&issuer.jwks());
    let verifier = identity.verifier(&issuer);
    let token = issuer.token(UserId::new(), Role::Customer);
    verifier.verify_fresh(&token).await.unwrap();
    for body in [None, Some(r#"{"keys":[]}"#), Some("<html>"), Some("{}")] {
        *identity.body.lock() = body.map(str::to_owned);
        let before = *identity.asked.borrow();
        let stranger = TestIssuer::new().token(UserId::new(), Role::Admin);
        assert!(verifier.verify(&stranger).is_err(), "asks for keys");
        // Asked twice: by then the first answer has been dealt with.
        identity.asked_at_least(before + 2).await;
        assert!(verifier.verify(&token).is_ok());
    }
}

#[tokio::test]
async fn invented_keys_do_not_make_us_flood_identity() {
    let issuer = TestIssuer::new();
    let mut identity = FakeIdentity::start(None).await;
    identity.serve(&issuer.jwks());
    let verifier = identity.verifier(&issuer);
    identity.asked_at_least(1).await;
    let started = tokio::time::Instant::now();
    while started.elapsed() < Duration::from_millis(1500) {
        let stranger = TestIssuer::new().token(UserId::new(), Role::Admin);
        assert!(verifier.verify(&stranger).is_err());
        tokio::task::yield_now().await;
    }
    assert!(*identity.asked.borrow() <= 3, "asked {} times", *identity.asked.borrow());
}
