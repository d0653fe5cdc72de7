//! Tables that are looked into for every request and whose keys the configuration has, so that nobody can choose them to
//! collide: they are hashed fast rather than unforeseeably.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

pub(crate) type Table<T> = HashMap<Vec<u8>, T, BuildHasherDefault<Plain>>;

/// Eight bytes at a time: a rotation, and a product with an odd number.
#[derive(Debug, Default)]
pub(crate) struct Plain(u64);

/// Of 2^64 the golden section.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Plain {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(ODD);
    }
}

impl Hasher for Plain {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            self.add(rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        // A table takes its places from the lowest bits, which depend on the fewest of the key's.
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(ODD);
        mixed ^ mixed >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::BuildHasher as _};

    use super::*;

    #[test]
    fn keys_that_are_alike_are_spread() {
        let hash = BuildHasherDefault::<Plain>::default();
        let keys = (0..4_096).map(|number| format!("/api/v1/things/{number}/parts"));
        let places: HashSet<u64> = keys.map(|key| hash.hash_one(key.into_bytes()) & 0xffff).collect();
        // Were they random, 3,970 of 65,536 places would be taken.
        assert!(places.len() > 3_800, "{}", places.len());
    }
}
