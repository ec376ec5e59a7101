//! The hash that names and MAC addresses are made from. It must never change: a newer Sealane finds by it what an
//! older one made.
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// SipHash-2-4 with an all-zero key over the parts, each closed with a zero byte so that (`a`,`bc`) and (`ab`,`c`) differ.
pub fn stable_hash(parts: &[&str]) -> u64 {
    let mut hasher = SipHasher24::new();
    for part in parts {
        hasher.write(part.as_bytes());
        hasher.write(&[0]);
    }
    hasher.finish()
}

/// The top `digits * 5` bits of a hash as lower-case base32 (RFC 4648 section 6 alphabet); at most 12 digits.
pub fn base32(hash: u64, digits: usize) -> String {
    const ALPHABET: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
    let digit =
        |at: usize| ALPHABET.get((hash >> (59 - 5 * at) & 31) as usize).copied().map_or('a', char::from);
    (0..digits.min(12)).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_was_shipped() {
        assert_eq!(base32(stable_hash(&["net", "container", "eth0"]), 11), "4b5qsegmgw5");
    }

    #[test]
    fn where_a_part_ends_matters() {
        assert_ne!(stable_hash(&["a", "bc"]), stable_hash(&["ab", "c"]));
    }
}
