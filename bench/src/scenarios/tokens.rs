//! The check that every request passes twice, at the gateway and at its service.

use viscount_chassis::auth::{Role, testing::TestIssuer};

use super::world::customer;
use crate::{Run, repeat};

pub fn known() -> Run {
    let issuer = TestIssuer::new();
    let verifier = issuer.verifier();
    let token = issuer.token(customer(), Role::Customer);
    repeat(move || verifier.verify(&token).unwrap())
}
