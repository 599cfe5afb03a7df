//! A fault as it is written down: in a request, in a setting, in an answer.

use serde::{Deserialize, Serialize};
use tokio::time::Duration;

/// The longest pause that may be asked for.
const LONGEST_DELAY_MS: u64 = 600_000;
/// The longest time in force.
const LONGEST_EXPIRY: u64 = 86_400;
/// The longest id, actor or entity, in bytes.
const LONGEST_NAME: usize = 128;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A handler panics before it begins.
    Panic,
    /// A handler begins late.
    Slow,
    /// A handler does not begin before the fault ends.
    Stuck,
    /// A provider of the service answers that it is not available.
    ProviderDown,
    /// A provider of the service answers late.
    ProviderSlow,
    /// The server ends all connections of the service to its database.
    DropDatabaseConnections,
}

impl FaultKind {
    /// As it is written, and a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            FaultKind::Panic => "panic",
            FaultKind::Slow => "slow",
            FaultKind::Stuck => "stuck",
            FaultKind::ProviderDown => "provider_down",
            FaultKind::ProviderSlow => "provider_slow",
            FaultKind::DropDatabaseConnections => "drop_database_connections",
        }
    }

    /// Whether it happens to handlers of actors.
    pub fn is_of_handlers(self) -> bool {
        matches!(self, FaultKind::Panic | FaultKind::Slow | FaultKind::Stuck)
    }

    fn has_delay(self) -> bool {
        matches!(self, FaultKind::Slow | FaultKind::ProviderSlow | FaultKind::DropDatabaseConnections)
    }
}

/// Something that is to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// By which it can be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What.
    pub kind: FaultKind,
    /// With whom: a kind of entity, or the name of a task or actor. Handlers only, and needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// With this entity alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Only every so many-th time; every time unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// How long what is slow takes longer, or the pause between two drops; a second unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// How often at most; without a bound unless said otherwise, once for dropped connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// How long it is in force, or still is; ten minutes unless said otherwise, a day at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// A fault in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveFault {
    /// What was asked for; `expires_in_seconds` is what is left.
    #[serde(flatten)]
    pub fault: Fault,
    /// How often it has happened.
    pub injected: u64,
}

/// A fault that cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    /// This field of it makes no sense.
    #[error("{field} {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        problem: &'static str,
    },
    /// So many are in force.
    #[error("64 faults are in force, and more may not be")]
    TooMany,
    /// Nobody has allowed faults here.
    #[error("faults are not allowed here")]
    NotAllowed,
}

impl Fault {
    /// One of this kind with nothing else said.
    pub fn of(kind: FaultKind) -> Fault {
        Fault {
            id: None,
            kind,
            actor: None,
            entity: None,
            every: None,
            delay_ms: None,
            times: None,
            expires_in_seconds: None,
        }
    }

    /// The pause that is meant.
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or(1_000))
    }

    /// Whether it can be meant at all. Who keeps faults for others asks before they are handed on.
    pub fn check(&self) -> Result<(), BadFault> {
        let bad = |field, problem| Err(BadFault::Field { field, problem });
        let is_name = |text: &str| {
            (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() && c != '/')
        };
        if self.id.as_deref().is_some_and(|id| !is_name(id)) {
            return bad("id", "is not 1 to 128 visible ASCII characters without /");
        }
        match &self.actor {
            None if self.kind.is_of_handlers() => return bad("actor", "is needed for this kind"),
            Some(_) if !self.kind.is_of_handlers() => return bad("actor", "does not go with this kind"),
            Some(actor) if !is_name(actor) => return bad("actor", "is no name of an actor"),
            _ => {}
        }
        match &self.entity {
            Some(_) if self.actor.is_none() => return bad("entity", "does not go with this kind"),
            Some(entity) if !is_name(entity) => return bad("entity", "is no id"),
            _ => {}
        }
        if self.every == Some(0) {
            return bad("every", "is at least 1");
        }
        if self.times == Some(0) {
            return bad("times", "is at least 1");
        }
        match self.delay_ms {
            Some(_) if !self.kind.has_delay() => return bad("delay_ms", "does not go with this kind"),
            Some(0 | LONGEST_DELAY_MS..) => return bad("delay_ms", "is 1 to 599999"),
            _ => {}
        }
        match self.expires_in_seconds {
            Some(seconds) if !(1..=LONGEST_EXPIRY).contains(&seconds) => {
                bad("expires_in_seconds", "is 1 to 86400")
            }
            _ => Ok(()),
        }
    }

    /// The same in all but the name.
    pub(super) fn is_like(&self, other: &Fault) -> bool {
        let named = Fault { id: other.id.clone(), ..self.clone() };
        (self.id.is_none() || self.id == other.id) && named == *other
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(json: &str) -> Result<Fault, String> {
        let fault: Fault = serde_json::from_str(json).map_err(|error| error.to_string())?;
        fault.check().map(|()| fault).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        let text =
            r#"{"id":"x","kind":"panic","actor":"order","every":50,"times":3,"expires_in_seconds":60}"#;
        assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        for kind in ["provider_down", "provider_slow", "drop_database_connections"] {
            assert_eq!(read(&format!(r#"{{"kind":"{kind}"}}"#)).unwrap().kind.label(), kind);
        }
    }

    #[test]
    fn a_fault_that_cannot_be_meant_says_which_field() {
        for (json, field) in [
            (r#"{"kind":"panic"}"#, "actor"),
            (r#"{"kind":"provider_down","actor":"order"}"#, "actor"),
            (r#"{"kind":"provider_down","entity":"1"}"#, "entity"),
            (r#"{"kind":"panic","actor":""}"#, "actor"),
            (r#"{"kind":"panic","actor":"order","entity":"a b"}"#, "entity"),
            (r#"{"kind":"panic","actor":"order","every":0}"#, "every"),
            (r#"{"kind":"panic","actor":"order","times":0}"#, "times"),
            (r#"{"kind":"panic","actor":"order","delay_ms":5}"#, "delay_ms"),
            (r#"{"kind":"slow","actor":"order","delay_ms":600000}"#, "delay_ms"),
            (r#"{"kind":"slow","actor":"order","expires_in_seconds":0}"#, "expires_in_seconds"),
            (r#"{"kind":"slow","actor":"order","expires_in_seconds":86401}"#, "expires_in_seconds"),
            (r#"{"id":"a/b","kind":"provider_down"}"#, "id"),
            (r#"{"kind":"slow","actor":"order","odd":1}"#, "unknown field `odd`"),
            (r#"{"kind":"odd"}"#, "unknown variant `odd`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.starts_with(field), "{json}: {error}");
        }
    }
}
