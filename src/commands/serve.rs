//! `viscount serve <service>…`: some of the services, in one process.

use std::process::ExitCode;

use viscount_chassis::config::Env;

use super::up;
use crate::{
    failure::Failure,
    home::Home,
    stack::{Part, Stack, are_shared},
};

/// Runs until somebody stops it.
pub async fn run(parts: &[Part], env: &Env) -> Result<ExitCode, Failure> {
    let home = Home::open(env)?;
    let stack = Stack::start(env, &home, parts).await?;
    if let Some(admin) = &stack.first_admin {
        eprintln!("first start: administrator {} with password {}", admin.email, admin.password);
    }
    if !are_shared(env) {
        tracing::warn!(
            "the embedded log lives in one process: services in other processes do not get these events; \
             KAFKA_BROKERS names brokers that carry them"
        );
    }
    up::serve(stack).await
}
