//! Bytes of strings, looked at by eight: most strings are too short for longer steps to pay.
//!
//! A test of a word marks a byte by its highest bit. The lowest mark is right; those above it may not be.

const ONES: u64 = 0x0101_0101_0101_0101;
const MARKS: u64 = ONES << 7;

const fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & MARKS
}

const fn equal(word: u64, byte: u8) -> u64 {
    zero(word ^ (ONES * byte as u64))
}

/// Bytes below a space.
const fn control(word: u64) -> u64 {
    word.wrapping_sub(ONES * b' ' as u64) & !word & MARKS
}

/// Where a string in JSON ends or is not plain: at the first quote, backslash or NUL.
pub(super) fn end_of_plain(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = equal(word, b'"') | equal(word, b'\\') | zero(word);
        if found != 0 {
            return Some(8 * index + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0))?;
    Some(8 * words.len() + at)
}

/// Whether a text stands in JSON as it is; `false` as well if it is shorter than half a word.
pub(super) fn is_plain(text: &[u8], escape_slash: bool) -> bool {
    let special = |word: u64| {
        let slash = if escape_slash { equal(word, b'/') } else { 0 };
        control(word) | equal(word, b'"') | equal(word, b'\\') | equal(word, 0x7f) | slash
    };
    if let Some(last) = text.last_chunk() {
        // It may have bytes of the word before it.
        let (words, _) = text.as_chunks();
        let found = words.iter().fold(0, |found, word| found | special(u64::from_le_bytes(*word)));
        return found | special(u64::from_le_bytes(*last)) == 0;
    }
    let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) else { return false };
    let halves = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    special(halves) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_at_a_time_are_seen_as_one_by_one(
            text in prop::collection::vec(prop_oneof![9 => b' '..0x80_u8, 1 => any::<u8>()], 0..40),
            escape_slash in any::<bool>(),
        ) {
            let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
            prop_assert_eq!(end_of_plain(&text), end);
            let special = |byte: &u8| match byte {
                0..0x20 | b'"' | b'\\' | 0x7f => true,
                b'/' => escape_slash,
                _ => false,
            };
            prop_assert_eq!(is_plain(&text, escape_slash), text.len() >= 4 && !text.iter().any(special));
        }
    }
}
