//! Which partition a key is in, as the publishing side places it (librdkafka's `murmur2_random`, and Java's clients):
//! MurmurHash2 (Austin Appleby, in the public domain) with their seed, the sign taken off, modulo the partitions.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;

/// The partition of a key among so many; 0 when there are none.
pub(super) fn partition(key: &[u8], partitions: usize) -> i32 {
    let Ok(count @ 1..) = i32::try_from(partitions) else { return 0 };
    (hash(key) & 0x7fff_ffff).cast_signed() % count
}

fn hash(data: &[u8]) -> u32 {
    // Keys are short; the length is mixed in modulo 2^32.
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word = (word ^ (word >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_other_clients() {
        // From the tests of librdkafka and of Apache Kafka's own client.
        for (key, expected) in [
            ("kafka", 0xd067_cf64_u32),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x8739_30da),
            ("4", 0x5a4b_5ca1),
            ("", 0x106e_08d9),
        ] {
            assert_eq!(hash(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn a_topic_without_partitions_has_none() {
        assert_eq!(partition(b"4", 0), 0);
        assert!((0..6).contains(&partition(b"4", 6)));
    }
}
