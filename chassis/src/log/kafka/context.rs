//! What the library tells about its connections: to the log, at a decent rate, and to whoever asks what is wrong.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    client::ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::ProducerContext,
};

use super::security::as_variables;

/// How often at most trouble of one kind is told.
const PACE: Duration = Duration::from_secs(30);
/// How long a reason explains a failure. The library repeats an error of a connection every half minute.
const FRESH: Duration = Duration::from_secs(45);

/// True for what concerns a connection and not what goes over it: [`Complaints`] tell of it, once for all clients.
pub(super) fn is_of_a_connection(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, Authentication, BrokerTransportFailure, Resolve, SSL};
    let of_a_connection = [AllBrokersDown, Authentication, BrokerTransportFailure, Resolve, SSL];
    error.rdkafka_error_code().is_some_and(|code| of_a_connection.contains(&code))
}

/// Tells of outages, not too often: every client of a process notices the same one, again and again.
#[derive(Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// When each kind was last told. There are few kinds.
    told: Vec<(Option<RDKafkaErrorCode>, Instant)>,
    latest: Option<Reason>,
}

/// Why a connection was not made or lost.
#[derive(Clone)]
struct Reason {
    text: String,
    kind: Option<RDKafkaErrorCode>,
    at: Instant,
}

impl Complaints {
    /// Why the brokers were last not reached, with its kind, unless that is long ago. One line, without secrets.
    pub(super) fn latest(&self) -> Option<(Option<RDKafkaErrorCode>, String)> {
        let heard = self.0.lock();
        let latest = heard.latest.as_ref().filter(|reason| reason.at.elapsed() < FRESH)?;
        Some((latest.kind, latest.text.clone()))
    }

    /// The brokers were reached: what was heard before explains nothing any more.
    pub(super) fn settle(&self) {
        self.0.lock().latest = None;
    }

    fn hear(&self, kind: Option<RDKafkaErrorCode>, text: String) {
        self.0.lock().latest = Some(Reason { text, kind, at: Instant::now() });
    }

    /// True when trouble of this kind is to be told now.
    fn is_due(&self, kind: Option<RDKafkaErrorCode>) -> bool {
        let (mut heard, now) = (self.0.lock(), Instant::now());
        match heard.told.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, last)) if now.duration_since(*last) < PACE => false,
            Some((_, last)) => {
                *last = now;
                true
            }
            None => {
                heard.told.push((kind, now));
                true
            }
        }
    }
}

impl ClientContext for Complaints {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "kafka");
        // A broker that hangs up is no error to the library, and often the only sign of a wrong setting.
        if facility == "FAIL" && message.contains("Disconnected") {
            self.hear(None, plain(message));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let kind = error.rdkafka_error_code();
        // That all brokers are away says nothing of why.
        let why = match kind {
            Some(RDKafkaErrorCode::AllBrokersDown) => None,
            _ => Some(plain(reason)),
        };
        if let Some(why) = &why {
            self.hear(kind, why.clone());
        }
        if self.is_due(kind) {
            let reason = why.or_else(|| Some(self.latest()?.1)).unwrap_or_else(|| plain(reason));
            tracing::warn!(%error, reason, "the brokers cannot be reached as wished; trying on");
        }
    }
}

impl ConsumerContext for Complaints {}

impl ProducerContext for Complaints {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// What the library says, without the thread that said it and how long it took, in the words of our settings, and where
/// to look when that is not all.
fn plain(message: &str) -> String {
    let message = match message.split_once("]: ") {
        Some((thread, rest)) if thread.starts_with("[thrd:") => rest,
        _ => message,
    };
    let message = message.rsplit_once(" (after ").map_or(message, |(before, _)| before);
    let mut plain = as_variables(message);
    if let Some(hint) = hint(message) {
        plain = format!("{plain} ({hint})");
    }
    plain
}

/// What brokers mean that say no more than that they do not want to.
fn hint(message: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["alert bad certificate", "alert certificate", "alert unknown ca", "alert handshake failure"]) {
        return Some("the broker does not take our certificate: KAFKA_SSL_CERTIFICATE_LOCATION");
    }
    says(&["Disconnected", "wrong version number", "PLAINTEXT broker"])
        .then_some("if that goes on: is KAFKA_SECURITY_PROTOCOL what the broker has?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_in_the_words_of_our_settings() {
        let said = "[thrd:ssl://a:9093/bootstrap]: ssl://a:9093/bootstrap: SSL handshake failed: certificate verify failed, \
                    verify that ssl.ca.location is right (after 6ms in state SSL_HANDSHAKE, 3 identical error(s) suppressed)";
        let refused =
            "ssl://a:9093/1: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate";
        assert!(plain(refused).contains("KAFKA_SSL_CERTIFICATE_LOCATION"));
        assert!(plain("a:9093/1: Disconnected").contains("KAFKA_SECURITY_PROTOCOL"));
        let plain = plain(said);
        assert!(plain.starts_with("ssl://a:9093/bootstrap: SSL handshake failed"), "{plain}");
        assert!(plain.ends_with("verify that KAFKA_SSL_CA_LOCATION is right"), "{plain}");
    }

    #[test]
    fn trouble_of_a_kind_is_told_once_in_a_while_and_the_reason_is_kept() {
        let complaints = Complaints::default();
        let [refused, down] =
            [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::AllBrokersDown].map(Some);
        assert!(complaints.is_due(refused) && complaints.is_due(down));
        assert!(!complaints.is_due(refused) && !complaints.is_due(down));
        complaints.error(KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), "a:1: refused");
        complaints.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        assert_eq!(complaints.latest(), Some((refused, "a:1: refused".to_owned())));
        complaints.settle();
        assert_eq!(complaints.latest(), None);
    }
}
