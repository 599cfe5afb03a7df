//! `viscount token`: an access token signed with the local development key.

use std::process::ExitCode;

use jiff::Timestamp;
use viscount_chassis::{
    auth::{Claims, Role, Roles},
    config::Env,
};
use viscount_contracts::UserId;
use viscount_identity::KeyRing;

use crate::{cli::TokenArgs, failure::Failure, home::Home};

/// Prints a token.
pub fn run(args: &TokenArgs, env: &Env) -> Result<ExitCode, Failure> {
    let home = Home::open(env)?;
    println!("{}", sign(env, &home, args.role, args.subject.map(UserId::from), args.minutes)?);
    Ok(ExitCode::SUCCESS)
}

/// A token for `subject`, or for a new user, good for so many minutes.
pub fn sign(
    env: &Env,
    home: &Home,
    role: Role,
    subject: Option<UserId>,
    minutes: u32,
) -> Result<String, Failure> {
    let ring =
        KeyRing::open_or_create(home.keys(env)).map_err(|error| Failure::doing("the signing keys", error))?;
    let now = Timestamp::now().as_second();
    let claims = Claims {
        sub: subject.unwrap_or_else(UserId::new),
        roles: Roles::from_iter([role]),
        iss: env.get("VISCOUNT_ISSUER").unwrap_or("first-viscount").to_owned(),
        aud: env.get("VISCOUNT_AUDIENCE").unwrap_or("first-viscount").to_owned(),
        exp: now + i64::from(minutes) * 60,
        iat: now,
        jti: Some(uuid::Uuid::now_v7().to_string()),
    };
    ring.sign(&claims).map_err(|error| Failure::doing("signing a token", error))
}
