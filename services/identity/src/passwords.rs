//! Hashing and checking passwords: slow on purpose, so never on a thread that serves requests, and never more at once
//! than there are cores.
//!
//! argon2id (RFC 9106) with the costs that OWASP recommends: 19 MiB, two passes, one lane. Each takes some ten
//! milliseconds of a core and 19 MiB of memory; a crowd waits in line, and beyond a bound it is told to come again.
//! A password is checked against a hash in any case, also when nobody has that address, so that the time of an answer
//! says nothing about who has an account.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _, password_hash::phc};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use metrics::{counter, gauge, histogram};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::{
    domain::{Password, PasswordHash},
    metrics as names,
};

/// Bounds of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordsSpec {
    /// How many are worked on at once.
    pub threads: usize,
    /// How many may wait.
    pub waiting: usize,
    /// How long one waits at the most.
    pub patience: Duration,
}

/// Why a password was not hashed or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordsError {
    /// Too many wait already, or the wait was too long.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash function or its thread failed.
    #[error("password hashing failed")]
    Failed,
}

/// Hashes and checks passwords. Cheap to clone; clones share the bounds.
#[derive(Debug, Clone)]
pub struct Passwords {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    threads: Arc<Semaphore>,
    waiting: Semaphore,
    patience: Duration,
    /// What is checked when nobody has the address.
    nobody: PasswordHash,
    #[cfg(test)]
    checks: AtomicU64,
}

impl Passwords {
    /// Ready to work.
    pub fn new(spec: PasswordsSpec) -> Self {
        let inner = Inner {
            threads: Arc::new(Semaphore::new(spec.threads)),
            waiting: Semaphore::new(spec.threads + spec.waiting),
            patience: spec.patience,
            nobody: hash_of_nobody(),
            #[cfg(test)]
            checks: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Hashes a password for a new account.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordsError> {
        self.work("hash", move |_| {
            let hash: phc::PasswordHash = Argon2::default().hash_password(password.as_bytes()).ok()?;
            Some(PasswordHash::from_phc(hash.to_string()))
        })
        .await
    }

    /// True when this password belongs to the hash. With no hash the same work is done, and the answer is no.
    pub async fn check(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, PasswordsError> {
        self.work("check", move |inner| {
            #[cfg(test)]
            inner.checks.fetch_add(1, Ordering::Relaxed);
            let known = hash.is_some();
            let hash = hash.as_ref().unwrap_or(&inner.nobody);
            let hash = phc::PasswordHash::new(hash.as_phc()).ok()?;
            Some(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    /// How many passwords have been checked against a hash, real or not.
    #[cfg(test)]
    pub fn checks(&self) -> u64 {
        self.inner.checks.load(Ordering::Relaxed)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: &'static str,
        job: impl FnOnce(&Inner) -> Option<T> + Send + 'static,
    ) -> Result<T, PasswordsError> {
        let busy = || {
            counter!(names::PASSWORDS_REFUSED).increment(1);
            PasswordsError::Busy
        };
        let place = self.inner.waiting.try_acquire().map_err(|_| busy())?;
        let line = InLine::join();
        let waited = timeout(self.inner.patience, self.inner.threads.clone().acquire_owned()).await;
        drop(line);
        let thread = waited.map_err(|_| busy())?.map_err(|_| PasswordsError::Failed)?;
        let inner = self.inner.clone();
        // The job keeps its thread's permit to its end, also when whoever asked has gone.
        let job = spawn_blocking(move || {
            let _thread = thread;
            let started = Instant::now();
            let result = job(&inner);
            histogram!(names::PASSWORD_SECONDS, "work" => work).record(started.elapsed().as_secs_f64());
            result
        });
        let result = job.await;
        drop(place);
        result.ok().flatten().ok_or(PasswordsError::Failed)
    }
}

/// Somebody who waits, in the metrics; also when they give up and are dropped.
struct InLine;

impl InLine {
    fn join() -> Self {
        gauge!(names::PASSWORDS_WAITING).increment(1.0);
        Self
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        gauge!(names::PASSWORDS_WAITING).decrement(1.0);
    }
}

/// A hash with today's costs that no password has: its output is random. Nothing has to be computed for it.
fn hash_of_nobody() -> PasswordHash {
    let params = argon2::Params::DEFAULT;
    let (salt, output) = (rand::random::<[u8; 16]>(), rand::random::<[u8; 32]>());
    PasswordHash::from_phc(format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        params.m_cost(),
        params.t_cost(),
        params.p_cost(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn passwords(threads: usize, waiting: usize) -> Passwords {
        Passwords::new(PasswordsSpec { threads, waiting, patience: Duration::from_secs(30) })
    }

    fn word(text: &str) -> Password {
        Password::attempt(text.into())
    }

    #[tokio::test]
    async fn the_right_password_passes_and_no_other() {
        let passwords = passwords(2, 8);
        let hash = passwords.hash(word("correct horse")).await.unwrap();
        assert!(hash.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_phc());
        assert!(passwords.check(word("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.check(word("correct horsf"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.check(word(""), Some(hash.clone())).await.unwrap());
        assert_ne!(passwords.hash(word("correct horse")).await.unwrap(), hash, "salted");
    }

    #[tokio::test]
    async fn nobody_is_checked_with_the_same_costs() {
        let passwords = passwords(1, 8);
        let hash = passwords.hash(word("correct horse")).await.unwrap();
        let nobody = &passwords.inner.nobody;
        let costs = |hash: &PasswordHash| {
            phc::PasswordHash::new(hash.as_phc()).map(|h| (h.algorithm, h.version, h.params))
        };
        assert_eq!(costs(nobody).unwrap(), costs(&hash).unwrap());
        assert!(!passwords.check(word("correct horse"), None).await.unwrap());
        assert_eq!(passwords.checks(), 1);
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_read_is_a_failure_and_not_a_wrong_password() {
        let passwords = passwords(1, 8);
        let broken = PasswordHash::from_phc("plain text".into());
        assert_eq!(passwords.check(word("plain text"), Some(broken)).await, Err(PasswordsError::Failed));
    }

    #[tokio::test]
    async fn a_crowd_is_turned_away_and_those_let_in_are_served() {
        let passwords = passwords(1, 3);
        let all = futures_util::future::join_all((0..20).map(|_| passwords.check(word("x"), None))).await;
        assert_eq!(
            all.iter().filter(|answer| **answer == Ok(false)).count(),
            4,
            "one at work, three in line"
        );
        assert_eq!(all.iter().filter(|answer| **answer == Err(PasswordsError::Busy)).count(), 16);
        assert_eq!(passwords.check(word("x"), None).await, Ok(false), "every place is free again");
    }

    #[tokio::test]
    async fn waiting_has_an_end() {
        let spec = PasswordsSpec { threads: 1, waiting: 3, patience: Duration::ZERO };
        let passwords = Passwords::new(spec);
        let all = futures_util::future::join_all((0..3).map(|_| passwords.check(word("x"), None))).await;
        assert!(all.contains(&Ok(false)) && all.contains(&Err(PasswordsError::Busy)), "{all:?}");
    }
}
