//! A workflow's timeline in few bytes: entries one behind the other, so that writing more is appending.
//!
//! ```text
//! kind 1 | trace 1 | version 4 | at 8 (µs) | event id 16 | trace id 16, when trace is 1 | name 1 + n, when kind is 0
//! ```
//!
//! Numbers are little endian. `trace` is 0 for none, 1 for an id that follows, 2 for that of the entry before. An order's
//! seven events take about 220 bytes; as rows with an index they would take a kilobyte.

use jiff::Timestamp;
use uuid::Uuid;

use super::kind::Kind;

const NONE: u8 = 0;
const OWN: u8 = 1;
const SAME: u8 = 2;
/// The longest name of an unknown kind that is kept.
const NAME: usize = 100;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub kind: Kind,
    /// The version of its stream.
    pub version: i32,
    /// When.
    pub at: Timestamp,
    /// The event.
    pub event: Uuid,
    /// The trace of what caused it.
    pub trace: Option<Uuid>,
}

/// Appends an entry; `before` is the trace of the one before it in these bytes.
pub fn push(bytes: &mut Vec<u8>, entry: &Entry, before: Option<Uuid>) {
    let trace = match entry.trace {
        None => NONE,
        same if same == before => SAME,
        Some(_) => OWN,
    };
    bytes.push(entry.kind.code);
    bytes.push(trace);
    bytes.extend_from_slice(&entry.version.to_le_bytes());
    bytes.extend_from_slice(&entry.at.as_microsecond().to_le_bytes());
    bytes.extend_from_slice(entry.event.as_bytes());
    if let (OWN, Some(id)) = (trace, entry.trace) {
        bytes.extend_from_slice(id.as_bytes());
    }
    if entry.kind.code == 0 {
        let name: String = entry.kind.name.chars().filter(char::is_ascii_alphanumeric).take(NAME).collect();
        bytes.push(u8::try_from(name.len()).unwrap_or(0));
        bytes.extend_from_slice(name.as_bytes());
    }
}

/// All entries, as far as they can be read.
pub fn read(mut bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut before = None;
    while let Some(entry) = next(&mut bytes, before) {
        before = entry.trace;
        entries.push(entry);
    }
    entries
}

fn next(bytes: &mut &[u8], before: Option<Uuid>) -> Option<Entry> {
    let [code, trace] = take(bytes)?;
    let version = i32::from_le_bytes(take(bytes)?);
    let at = Timestamp::from_microsecond(i64::from_le_bytes(take(bytes)?)).ok()?;
    let event = Uuid::from_bytes(take(bytes)?);
    let trace = match trace {
        OWN => Some(Uuid::from_bytes(take(bytes)?)),
        SAME => before,
        _ => None,
    };
    let kind = match code {
        0 => {
            let [length] = take(bytes)?;
            let (name, rest) = bytes.split_at_checked(length.into())?;
            *bytes = rest;
            Kind { code, name: String::from_utf8_lossy(name).into_owned().into() }
        }
        // Written by a newer program.
        code => Kind::stored(code).unwrap_or(Kind { code, name: "unknown".into() }),
    };
    Some(Entry { kind, version, at, event, trace })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

/// The trace id in a W3C trace context.
pub fn trace_id(traceparent: &str) -> Option<Uuid> {
    let id = traceparent.split('-').nth(1).filter(|id| id.len() == 32)?;
    let id = u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
    Some(Uuid::from_u128(id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use viscount_contracts::Topic;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let names = prop::sample::select(vec!["OrderCreated", "OrderRefunded", "OrderShipped"]);
        (names, any::<i32>(), -1_i64 << 40..1_i64 << 50, any::<u128>(), prop::option::of(1_u128..3)).prop_map(
            |(name, version, at, event, trace)| Entry {
                kind: Kind::named(Topic::Orders, name),
                version,
                at: Timestamp::from_microsecond(at).unwrap_or_default(),
                event: Uuid::from_u128(event),
                trace: trace.map(Uuid::from_u128),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_chunks_may_be_put_behind_each_other(
            entries in prop::collection::vec(entry(), 0..12), cut in 0_usize..12,
        ) {
            let (mut bytes, mut before) = (Vec::new(), None);
            for (at, entry) in entries.iter().enumerate() {
                // A new chunk does not know what was before it.
                push(&mut bytes, entry, if at == cut { None } else { before });
                before = entry.trace;
            }
            prop_assert_eq!(read(&bytes), entries);
        }

        #[test]
        fn foreign_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }
    }

    #[test]
    fn only_a_real_trace_id_counts() {
        let real = trace_id("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(real, Some(Uuid::from_u128(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736)));
        for none in ["", "00", "00-0-1", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert_eq!(trace_id(none), None);
        }
    }
}
