//! Many small numbers in a journal: base64 of their bits, and nothing where all are zero.
//!
//! Written out they would be most of a record. The bits come back as they were.

use std::ops::{Deref, DerefMut};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// A number for each of `N` loops, where processors can take several at once.
#[derive(Debug, Clone, PartialEq)]
#[repr(align(32))]
pub(super) struct Column<const N: usize> {
    numbers: [f32; N],
    is_whole: bool,
}

impl<const N: usize> Column<N> {
    /// Not where it was read back and was of other loops.
    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }
}

impl<const N: usize> Default for Column<N> {
    fn default() -> Self {
        [0.0; N].into()
    }
}

impl<const N: usize> From<[f32; N]> for Column<N> {
    fn from(numbers: [f32; N]) -> Self {
        Self { numbers, is_whole: true }
    }
}

impl<const N: usize> From<Vec<f32>> for Column<N> {
    fn from(numbers: Vec<f32>) -> Self {
        numbers.try_into().map_or_else(|_| Self { is_whole: false, ..Self::default() }, <[f32; N]>::into)
    }
}

impl<const N: usize> AsRef<[f32]> for Column<N> {
    fn as_ref(&self) -> &[f32] {
        &self.numbers
    }
}

impl<const N: usize> Deref for Column<N> {
    type Target = [f32; N];

    fn deref(&self) -> &[f32; N] {
        &self.numbers
    }
}

impl<const N: usize> DerefMut for Column<N> {
    fn deref_mut(&mut self) -> &mut [f32; N] {
        &mut self.numbers
    }
}

/// Most numbers that are believed.
const MOST: usize = 4_096;

pub(super) fn serialize<S: Serializer>(
    numbers: &impl AsRef<[f32]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let numbers = numbers.as_ref();
    if numbers.iter().all(|number| number.to_bits() == 0) {
        return serializer.serialize_str(&format!("0*{}", numbers.len()));
    }
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, N: TryFrom<Vec<f32>>>(
    deserializer: D,
) -> Result<N, D::Error> {
    let numbers = unpacked(deserializer)?;
    let count = numbers.len();
    N::try_from(numbers)
        .map_err(|_| D::Error::custom(format_args!("{count} numbers are not as many as belong here")))
}

fn unpacked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if let Some(count) = text.strip_prefix("0*") {
        let count: usize = count.parse().map_err(D::Error::custom)?;
        return if count <= MOST { Ok(vec![0.0; count]) } else { Err(D::Error::custom("too many numbers")) };
    }
    let bytes = STANDARD_NO_PAD.decode(text).map_err(D::Error::custom)?;
    let (quads, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || quads.len() > MOST {
        return Err(D::Error::custom("these are not packed numbers"));
    }
    let numbers: Vec<f32> = quads.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    // An endless one is what too large a demand has become, and fades no more, but harms nobody either.
    if numbers.iter().any(|number| number.is_nan()) {
        return Err(D::Error::custom("one of these packed numbers is none"));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Numbers(#[serde(with = "super")] Vec<f32>);

    #[test]
    fn numbers_come_back_bit_for_bit() {
        for numbers in [vec![], vec![0.0; 7], vec![0.1, -0.0, f32::MAX, f32::MIN_POSITIVE]] {
            let json = serde_json::to_string(&Numbers(numbers.clone())).unwrap();
            let Numbers(again) = serde_json::from_str(&json).unwrap();
            let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&again), bits(&numbers), "{json}");
        }
    }

    #[test]
    fn a_ring_of_another_length_is_refused() {
        #[derive(Deserialize)]
        struct Four(#[serde(with = "super")] [f32; 4]);
        let Four(four) = serde_json::from_str("\"0*4\"").unwrap();
        assert_eq!(four.len(), 4);
        assert!(serde_json::from_str::<Four>("\"0*5\"").is_err());
    }

    #[test]
    fn a_column_of_other_loops_is_not_whole() {
        #[derive(Deserialize)]
        struct Three(#[serde(with = "super")] Column<3>);
        for (json, whole) in [("\"0*3\"", true), ("\"0*4\"", false), ("\"AACAPwAAAEAAAEBA\"", true)] {
            let Three(three) = serde_json::from_str(json).unwrap();
            assert_eq!(three.is_whole(), whole, "{json}");
        }
    }

    #[test]
    fn what_is_not_packed_is_refused() {
        for json in ["\"0*\"", "\"0*99999999\"", "\"AAA\"", "\"not base64\"", "3"] {
            assert!(serde_json::from_str::<Numbers>(json).is_err(), "{json}");
        }
    }
}
