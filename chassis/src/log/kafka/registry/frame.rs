//! The bytes before a framed message: Confluent's wire format for protobuf.
//!
//! ```text
//! 00  00 00 00 07  02 04 …            schema 7, message at index 2
//! │   │            └ how many indexes, then each of them; as zigzag varints. The first message alone is one byte 0
//! │   └ the schema's id, big endian
//! └ magic byte
//! ```
//!
//! The indexes lead to a message in the schema's file: the first counts the messages of the file, each further one those
//! inside of the message before. Source: Confluent, "Schema Registry, Formats, Serializers, and Deserializers: wire
//! format".

/// What comes first.
const MAGIC: u8 = 0;
/// How deep a message may be nested.
const DEPTH: i64 = 16;
/// Before the indexes.
const HEAD: usize = 5;

/// A framed message, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::log::kafka) struct Frame<'a> {
    /// The schema's id.
    pub(in crate::log::kafka) id: u32,
    /// Where the message is in the schema's file.
    pub(in crate::log::kafka) path: Vec<u32>,
    /// The message.
    pub(in crate::log::kafka) data: &'a [u8],
}

/// What stands before a message of this schema.
pub(super) fn prefix(id: u32, path: &[u32]) -> Vec<u8> {
    let mut bytes = vec![MAGIC];
    bytes.extend(id.to_be_bytes());
    match path {
        [0] => bytes.push(0),
        path => {
            put(&mut bytes, path.len() as u64);
            path.iter().for_each(|index| put(&mut bytes, u64::from(*index)));
        }
    }
    bytes
}

/// The schema's id, if these bytes may be framed.
pub(in crate::log::kafka) fn id(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [MAGIC, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// Takes a framed message apart, or says what is wrong with it.
pub(in crate::log::kafka) fn read(bytes: &[u8]) -> Result<Frame<'_>, String> {
    let id = id(bytes).ok_or("it is framed, but does not begin with a magic byte and a schema's id")?;
    let mut rest = &bytes[HEAD..];
    let count = take(&mut rest)?;
    if count == 0 {
        return Ok(Frame { id, path: vec![0], data: rest });
    }
    if count > DEPTH {
        return Err(format!("its frame leads {count} messages deep"));
    }
    let mut path = Vec::new();
    for _ in 0..count {
        path.push(u32::try_from(take(&mut rest)?).map_err(|_| "an index of its frame is too large")?);
    }
    Ok(Frame { id, path, data: rest })
}

/// Zigzag: positive numbers are doubled.
fn put(bytes: &mut Vec<u8>, number: u64) {
    let mut left = number << 1;
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}

/// The next number, which is not negative.
fn take(rest: &mut &[u8]) -> Result<i64, String> {
    let mut number = 0_u64;
    for (nth, byte) in rest.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * nth);
        if byte & 0x80 == 0 {
            *rest = &rest[nth + 1..];
            return match number & 1 {
                0 => Ok((number >> 1) as i64),
                _ => Err("an index of its frame is negative".to_owned()),
            };
        }
    }
    Err("its frame ends too early".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_those_that_confluent_documents() {
        assert_eq!(prefix(7, &[0]), [0, 0, 0, 0, 7, 0]);
        assert_eq!(prefix(0x0102_0304, &[2]), [0, 1, 2, 3, 4, 2, 4]);
        // Two levels: their example is [1, 0], which is the length 2, then 1 and 0, each doubled.
        assert_eq!(prefix(1, &[1, 0]), [0, 0, 0, 0, 1, 4, 2, 0]);
        assert_eq!(prefix(1, &[64]), [0, 0, 0, 0, 1, 2, 0x80, 1]);
        // The first message may be written in full as well.
        assert_eq!(read(&[0, 0, 0, 0, 7, 2, 0, 9]).unwrap(), Frame { id: 7, path: vec![0], data: &[9] });
        assert_eq!(read(&[0, 0, 0, 0, 7, 0]).unwrap(), Frame { id: 7, path: vec![0], data: &[] });
    }

    #[test]
    fn what_is_broken_is_told() {
        for broken in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 7, 0],
            &[0, 0, 0, 0, 7],
            &[0, 0, 0, 0, 7, 1],
            &[0, 0, 0, 0, 7, 2],
            &[0, 0, 0, 0, 7, 2, 1],
            &[0, 0, 0, 0, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
            &[0, 0, 0, 0, 7, 0xfe, 1],
        ] {
            assert!(read(broken).is_err(), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_framed_is_read(
            id: u32,
            path in proptest::collection::vec(0..=i32::MAX as u32, 1..=DEPTH as usize),
            data: Vec<u8>,
        ) {
            let bytes = [prefix(id, &path), data.clone()].concat();
            prop_assert_eq!(read(&bytes), Ok(Frame { id, path, data: &data }));
        }

        #[test]
        fn anything_else_is_an_error_and_no_more(bytes: Vec<u8>) {
            if let Ok(frame) = read(&bytes) {
                prop_assert!(bytes.ends_with(frame.data));
            }
        }
    }
}
