//! What happened, as it goes out: protobuf.

use viscount_contracts::events::coordination::v1::{
    ConfigurationUpdated, ServiceDeregistered, ServiceHealthChanged, ServiceRegistered,
};

use super::{Configuration, Instance};
use crate::domain::{Health, Registration};

/// An instance can be reached from now on.
pub fn registered(registration: &Registration) -> ServiceRegistered {
    ServiceRegistered {
        instance_id: registration.id.to_string(),
        service: registration.service.to_string(),
        address: registration.address.as_str().to_owned(),
        version: registration.build.clone(),
        lease_seconds: u32::from(registration.lease.seconds()),
        metadata: registration.metadata.entries().clone(),
    }
}

/// An instance is gone.
pub fn deregistered(instance: &Instance, reason: &str) -> ServiceDeregistered {
    ServiceDeregistered {
        instance_id: instance.id.to_string(),
        service: instance.service.clone(),
        address: instance.address.clone(),
        reason: reason.to_owned(),
    }
}

/// An instance is like this now.
pub fn health_changed(instance: &Instance, health: Health, detail: &str) -> ServiceHealthChanged {
    ServiceHealthChanged {
        instance_id: instance.id.to_string(),
        service: instance.service.clone(),
        address: instance.address.clone(),
        before: instance.health.to_string(),
        health: health.to_string(),
        detail: detail.to_owned(),
    }
}

/// Settings were replaced.
pub fn updated(configuration: &Configuration) -> ConfigurationUpdated {
    ConfigurationUpdated {
        service: configuration.service.clone(),
        version: configuration.version,
        settings: configuration.settings.to_json(),
        updated_by: configuration.updated_by.to_string(),
    }
}
