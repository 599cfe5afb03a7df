//! A message as the brokers have it, for when there is no event to be found in it.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A message, every byte of it that the client hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// Where it is.
    pub partition: i32,
    /// Where it is in its partition.
    pub offset: i64,
    /// Its time, in milliseconds since 1970; `None` when it has none.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in its order.
    pub headers: Vec<RawHeader>,
}

/// A header of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHeader {
    /// `None` when it is no text: then the client hands out neither name nor value.
    pub name: Option<String>,
    /// Its bytes.
    pub value: Option<Bytes>,
}

/// A message in which there is no event that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// As it came.
    pub message: RawMessage,
    /// What is wrong.
    pub problem: String,
}

/// A header as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredHeader {
    name: Option<String>,
    value: Option<String>,
}

impl RawMessage {
    /// How many bytes it has.
    pub fn size(&self) -> usize {
        let of = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter();
        let headers = headers.map(|header| header.name.as_ref().map_or(0, String::len) + of(&header.value));
        of(&self.key) + of(&self.value) + headers.sum::<usize>()
    }

    /// The last header of this name, as the event's attributes are read.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().rev().find(|header| header.name.as_deref() == Some(name))?;
        found.value.as_deref()
    }

    /// A name for it on this topic: the same however often it is read, and another one for whatever stands at its offset
    /// when the topic was made anew. A UUIDv7 (RFC 9562) whose random bits are a digest of the message, so that ids sort by
    /// the messages' times.
    pub fn id(&self, topic: &str) -> Uuid {
        let mut digest = Sha256::new();
        let mut add = |part: Option<&[u8]>| {
            digest.update(part.map_or(-1, |part| part.len() as i64).to_be_bytes());
            digest.update(part.unwrap_or_default());
        };
        add(Some(topic.as_bytes()));
        add(Some(&self.partition.to_be_bytes()));
        add(Some(&self.offset.to_be_bytes()));
        add(Some(&self.timestamp.unwrap_or(-1).to_be_bytes()));
        add(self.key.as_deref());
        add(self.value.as_deref());
        for RawHeader { name, value } in &self.headers {
            add(name.as_deref().map(str::as_bytes));
            add(value.as_deref());
        }
        let digest = digest.finalize();
        let mut random = [0; 10];
        random.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
        let millis = self.timestamp.and_then(|time| u64::try_from(time).ok()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis & ((1 << 48) - 1), &random).into_uuid()
    }

    /// Its headers for a column of type `jsonb`, values in base64.
    pub(crate) fn headers_json(&self) -> String {
        let stored = self.headers.iter().map(|RawHeader { name, value }| StoredHeader {
            name: name.clone(),
            value: value.as_ref().map(|value| BASE64.encode(value)),
        });
        serde_json::to_string(&stored.collect::<Vec<_>>()).unwrap_or_else(|_| "[]".to_owned())
    }

    /// The headers back. What cannot be understood is left out.
    pub(crate) fn headers_of_json(json: &str) -> Vec<RawHeader> {
        let stored: Vec<StoredHeader> = serde_json::from_str(json).unwrap_or_default();
        let headers = stored.into_iter().map(|StoredHeader { name, value }| RawHeader {
            name,
            value: value.and_then(|value| BASE64.decode(value).ok()).map(Bytes::from),
        });
        headers.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> RawMessage {
        let header = |name: Option<&str>, value: Option<&'static [u8]>| RawHeader {
            name: name.map(str::to_owned),
            value: value.map(Bytes::from_static),
        };
        RawMessage {
            partition: 3,
            offset: 7,
            timestamp: Some(1_700_000_000_000),
            key: None,
            value: Some(Bytes::from_static(b"\xff\0x")),
            headers: vec![
                header(Some("a"), Some(b"\xfe")),
                header(Some("a"), Some(b"2")),
                header(Some("b"), None),
                header(None, None),
            ],
        }
    }

    #[test]
    fn headers_come_back_as_they_were() {
        let message = message();
        assert_eq!(RawMessage::headers_of_json(&message.headers_json()), message.headers);
        assert_eq!(
            (message.header("a"), message.header("b"), message.header("c")),
            (Some(&b"2"[..]), None, None)
        );
        assert_eq!(message.size(), 3 + 2 + 2 + 1);
    }

    #[test]
    fn an_id_is_of_the_message_and_sorts_by_its_time() {
        let (one, mut other) = (message(), message());
        let id = one.id("orders");
        assert_eq!((id, id.get_version_num()), (other.id("orders"), 7));
        assert_ne!(id, one.id("payments"));
        other.key = Some(Bytes::new());
        assert_ne!(id, other.id("orders"), "an empty key is not none");
        other = RawMessage { timestamp: Some(1_700_000_000_001), ..message() };
        assert!(id < other.id("orders"));
        other.timestamp = Some(i64::MIN);
        assert_eq!(other.id("orders").get_version_num(), 7);
    }
}
