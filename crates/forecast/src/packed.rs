//! Long rows of numbers, written short: their bits in Base64 instead of digits.
//!
//! What was learned is written with every decision that changes something. Digits would make it several
//! times as long, and would have to be read back to the same bits.

use std::ops::{Deref, DerefMut};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Numbers that are written as the text of their bits, each with its lowest byte first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Packed<T>(Vec<T>);

impl<T> Packed<T> {
    pub(crate) fn new(numbers: Vec<T>) -> Self {
        Self(numbers)
    }
}

impl<T> Deref for Packed<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> DerefMut for Packed<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

/// A number as bytes.
pub(crate) trait Bits: Copy {
    const BYTES: usize;
    fn write(self, bytes: &mut Vec<u8>);
    /// From exactly so many bytes.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Bits for f32 {
    const BYTES: usize = 4;

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }
}

impl Bits for u16 {
    const BYTES: usize = 2;

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }
}

impl<T: Bits> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.0.len() * T::BYTES);
        self.0.iter().for_each(|number| number.write(&mut bytes));
        output.serialize_str(&BASE64.encode(bytes))
    }
}

impl<'de, T: Bits> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let bytes = BASE64.decode(String::deserialize(input)?).map_err(D::Error::custom)?;
        let numbers: Option<Vec<T>> = bytes.chunks(T::BYTES).map(T::read).collect();
        numbers.map(Self).ok_or_else(|| D::Error::custom("half a number is left over"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_bit_comes_back(
            singles in prop::collection::vec(any::<f32>(), 0..40),
            shorts in prop::collection::vec(any::<u16>(), 0..40),
        ) {
            let json = serde_json::to_string(&Packed::new(singles.clone())).unwrap();
            let back: Packed<f32> = serde_json::from_str(&json).unwrap();
            let bits = |numbers: &[f32]| numbers.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&singles));
            let json = serde_json::to_string(&Packed::new(shorts.clone())).unwrap();
            prop_assert_eq!(&*serde_json::from_str::<Packed<u16>>(&json).unwrap(), &shorts);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let _ = serde_json::from_str::<Packed<f32>>(&json);
        }
    }
}
