//! How commands speak to a running platform: the gateway's operations API, with an administrator's token.
//!
//! `actors`, `faults`, `why` and `top` share it: where the gateway is, who asks, how long an answer may take, and what
//! a refusal is called.

mod client;
mod credentials;
mod error;

use clap::Args;

pub use client::OpsClient;
pub use error::OpsError;

/// Where the platform is, and who asks.
#[derive(Debug, Clone, Default, Args)]
pub struct OpsArgs {
    /// The gateway; that of the platform running on VISCOUNT_DATA_DIR when absent.
    #[arg(long)]
    pub url: Option<String>,
    /// An administrator's token; VISCOUNT_TOKEN, or one signed with the local key, when absent. Other users of the
    /// machine may see what is written here: VISCOUNT_TOKEN keeps it to yourself.
    #[arg(long)]
    pub token: Option<String>,
}
