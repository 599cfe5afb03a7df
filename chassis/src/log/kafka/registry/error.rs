//! Why a schema has no id, or an id no schema.

/// The registry could not be asked, or said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// It does not answer as it should; the same question may be answered later.
    #[error("the schema registry is not available: {0}")]
    Unavailable(String),
    /// It has answered with a refusal.
    #[error("the schema registry refuses {subject} with status {status}: {reason}")]
    Refused {
        /// What was asked about.
        subject: String,
        /// The HTTP status; 409 is a schema that does not fit those before it.
        status: u16,
        /// Its own words.
        reason: String,
    },
    /// The schema is not registered, and it is not for this process to register it.
    #[error(
        "{0} does not have this schema, and SCHEMA_REGISTRY_AUTO_REGISTER is false: run viscount migrate"
    )]
    NotRegistered(String),
}
