//! What checking a token's signature costs with the two algorithms that verifiers accept: the reason why tokens are
//! signed with Ed25519.
//!
//! `cargo run --release -p viscount-identity --example signature_cost`

use std::{error::Error, time::Instant};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, jwk::Jwk};
use serde_json::{Value, json};

const ROUNDS: u32 = 5_000;

fn main() -> Result<(), Box<dyn Error>> {
    let ed = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
    measure("EdDSA", Algorithm::EdDSA, &EncodingKey::from_ed_der(ed.as_ref()))?;
    measure("ES256", Algorithm::ES256, &EncodingKey::from_ec_der(ec.as_ref()))
}

fn measure(name: &str, algorithm: Algorithm, key: &EncodingKey) -> Result<(), Box<dyn Error>> {
    let public = DecodingKey::from_jwk(&Jwk::from_encoding_key(key, algorithm)?)?;
    let claims =
        json!({ "sub": "018f", "roles": ["customer"], "iss": "i", "aud": "a", "exp": u32::MAX, "iat": 0 });
    let mut rules = Validation::new(algorithm);
    rules.set_audience(&["a"]);
    let token = encode(&Header::new(algorithm), &claims, key)?;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        encode(&Header::new(algorithm), &claims, key)?;
    }
    let signing = started.elapsed() / ROUNDS;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        decode::<Value>(&token, &public, &rules)?;
    }
    let checking = started.elapsed() / ROUNDS;
    // The one place where printing is the purpose.
    println!("{name}: signing {signing:?}, checking {checking:?}");
    Ok(())
}
