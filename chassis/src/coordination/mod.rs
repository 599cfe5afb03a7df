//! How a process lives with the coordination service: it is listed there, and takes live settings from there.
//!
//! Nothing here is needed to serve. A process starts without coordination, goes on without it, and is listed again within
//! a moment of its return; its last known settings and, in the gateway, the last known instances stay in force meanwhile.
//! So everything runs in background tasks, every call has a deadline, and the one thing that a stop waits for (saying
//! good-bye) is bounded.
//!
//! ```text
//! config      where coordination is, what is told there, who vouches for us
//! token       an access token of the role `service`, renewed before it ends
//! client      the calls: deadline, breaker, bounded answers
//! register    listed, heartbeats, listed anew, good-bye
//! settings    live settings: asked for by long poll, applied where they changed
//! instances   who else is there, by long poll
//! wire        what travels
//! ```

mod client;
mod config;
mod fault_setting;
mod instances;
mod outage;
mod pause;
mod register;
mod settings;
mod token;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use client::{Client, Failure, Versioned};
pub use config::{ClientSecret, CoordinationConfig, TokenConfig};
pub use fault_setting::FaultsSetting;
pub use instances::follow_instances;
pub use register::{Member, Membership};
pub use settings::{LogFilterSetting, Setting, follow_settings};
pub use token::TokenSource;
pub use wire::{HealthState, Instance, Registration, Settings};

/// How a process meets coordination. Cheap to clone; all services of a process share one.
#[derive(Clone)]
pub struct Coordination {
    client: Arc<Client>,
    advertised_host: Option<String>,
    lease: Duration,
}

impl Coordination {
    /// Builds the client; asks nobody.
    ///
    /// # Errors
    /// When the system has no TLS or resolver to build an HTTP client from.
    pub fn new(config: CoordinationConfig) -> Result<Self, String> {
        let CoordinationConfig { url, token, advertised_host, lease } = config;
        let client = Arc::new(Client::new(url, TokenSource::new(token)?)?);
        Ok(Coordination { client, advertised_host, lease })
    }

    /// The calls.
    pub fn client(&self) -> Arc<Client> {
        self.client.clone()
    }
}
