//! Why a command failed: one line for the user, and an exit code for scripts.

use std::{fmt::Display, process::ExitCode};

use viscount_chassis::{config::ConfigError, devpg::DevPgError, http, service::ServiceError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong; nothing was started. Exit code 2.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An argument or a port cannot be used. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The private PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] DevPgError),
    /// A service's supervision gave up. Exit code 70, as `EX_SOFTWARE` of sysexits.h.
    #[error("service {service} gave up: {exit}")]
    GaveUp {
        /// Which.
        service: &'static str,
        /// Why.
        exit: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// Anything else, with what was being done.
    pub fn doing(what: impl Display, why: impl Display) -> Self {
        Failure::Other(format!("{what}: {why}"))
    }

    /// What scripts see.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Config(_) | Failure::Usage(_) => ExitCode::from(2),
            Failure::GaveUp { .. } => ExitCode::from(70),
            Failure::Postgres(_) | Failure::Other(_) => ExitCode::FAILURE,
        }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Config(error) => Failure::Config(error),
            ServiceError::Http(error @ http::StartError::PortTaken { .. }) => {
                Failure::Usage(error.to_string())
            }
            other => Failure::Other(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Failure::doing("the database", error)
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Failure::doing("http", error)
    }
}
