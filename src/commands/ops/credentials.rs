//! Whose token is shown: one that was given, or one signed with the local key and renewed in time.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};
use viscount_chassis::{auth::Role, config::Env};

use crate::{commands::token, failure::Failure, home::Home};

/// How long a token of our own is good.
const MINUTES: u32 = 10;
/// After how long a new one is signed.
const RENEWED_AFTER: Duration = Duration::from_secs(5 * 60);

/// A token, or the key that signs them.
pub(super) enum Credentials {
    /// As it was given.
    Given(String),
    /// Signed here.
    Local {
        env: Env,
        home: Home,
        /// The present one, and when it was signed.
        signed: Mutex<Option<(String, Instant)>>,
    },
}

impl Credentials {
    /// The token of the command line, that of `VISCOUNT_TOKEN`, or the key of this folder.
    pub fn find(given: Option<&str>, env: &Env) -> Result<Self, Failure> {
        if let Some(token) = given.or(env.get("VISCOUNT_TOKEN")).map(str::trim).filter(|it| !it.is_empty()) {
            let printable = token.bytes().all(|byte| byte.is_ascii_graphic());
            return match printable {
                true => Ok(Credentials::Given(token.to_owned())),
                false => Err(Failure::Usage("the token is not one: it has spaces or other signs".to_owned())),
            };
        }
        let home = Home::open(env)?;
        // A key that is made here would be known to nobody.
        if !home.keys(env).is_dir() {
            return Err(Failure::Usage(format!(
                "no token: give --token or VISCOUNT_TOKEN, or a VISCOUNT_DATA_DIR with the platform's keys ({} has none)",
                home.root().display()
            )));
        }
        let credentials = Credentials::Local { env: env.clone(), home, signed: Mutex::new(None) };
        // What is wrong with the keys is told now.
        credentials.token()?;
        Ok(credentials)
    }

    /// A token that is good for some minutes.
    pub fn token(&self) -> Result<String, Failure> {
        let (env, home, signed) = match self {
            Credentials::Given(token) => return Ok(token.clone()),
            Credentials::Local { env, home, signed } => (env, home, signed),
        };
        let mut signed = signed.lock().unwrap_or_else(PoisonError::into_inner);
        match &*signed {
            Some((token, at)) if at.elapsed() < RENEWED_AFTER => Ok(token.clone()),
            _ => {
                let token = token::sign(env, home, Role::Admin, None, MINUTES)?;
                *signed = Some((token.clone(), Instant::now()));
                Ok(token)
            }
        }
    }

    /// The present token was refused: the next one is signed anew, for the keys may have been rotated. False when
    /// there is no other.
    pub fn renew(&self) -> bool {
        match self {
            Credentials::Given(_) => false,
            Credentials::Local { signed, .. } => {
                *signed.lock().unwrap_or_else(PoisonError::into_inner) = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_stronger_than_the_environment() {
        let env = Env::from_pairs([("VISCOUNT_TOKEN", "from.the.environment")]);
        let found = |given| Credentials::find(given, &env).unwrap().token().unwrap();
        assert_eq!(found(Some("given")), "given");
        assert_eq!(found(None), "from.the.environment");
        assert!(Credentials::find(Some("two words"), &env).is_err());
    }

    #[test]
    fn no_keys_are_made_for_the_sake_of_asking() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::from_pairs([("VISCOUNT_DATA_DIR", home.path().to_str().unwrap())]);
        let refused = Credentials::find(None, &env).err().unwrap().to_string();
        assert!(refused.contains("VISCOUNT_TOKEN"), "{refused}");
        assert!(!home.path().join("keys").exists());
    }

    #[test]
    fn a_token_of_our_own_is_kept_for_a_while_and_renewed_on_demand() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::from_pairs([("VISCOUNT_DATA_DIR", home.path().to_str().unwrap())]);
        std::fs::create_dir(home.path().join("keys")).unwrap();
        let credentials = Credentials::find(None, &env).unwrap();
        let first = credentials.token().unwrap();
        assert_eq!(credentials.token().unwrap(), first);
        assert!(credentials.renew());
        assert_ne!(credentials.token().unwrap(), first);
    }
}
