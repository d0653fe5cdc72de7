//! The pieces of JSON that are more than a byte: numbers, strings, and what to call something unexpected.
//!
//! They are as lenient as lua-cjson: control characters may stand in strings, and what C's `strtod` takes for a
//! number is one unless that is forbidden.

use super::eight;

/// A string that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    /// After the closing quote.
    pub(super) end: usize,
    /// Whether its value is in the buffer, because it differs from its text.
    pub(super) escaped: bool,
}

/// Reads the string whose opening quote is at `start`; or says what is wrong, and where.
pub(super) fn string(
    text: &[u8],
    start: usize,
    buffer: &mut Vec<u8>,
) -> Result<Scanned, (&'static str, usize)> {
    buffer.clear();
    let (mut at, mut copied) = (start + 1, start + 1);
    loop {
        at += eight::end_of_plain(&text[at..]).ok_or(("unexpected end of string", text.len()))?;
        match text[at] {
            b'"' => break,
            0 => return Err(("unexpected end of string", at)),
            _ => {
                buffer.extend_from_slice(&text[copied..at]);
                at = escape(text, at, buffer)?;
                copied = at;
            }
        }
    }
    let escaped = copied > start + 1;
    if escaped {
        buffer.extend_from_slice(&text[copied..at]);
    }
    Ok(Scanned { end: at + 1, escaped })
}

/// Appends what the escape at `at` stands for; answers where the text goes on.
fn escape(text: &[u8], at: usize, buffer: &mut Vec<u8>) -> Result<usize, (&'static str, usize)> {
    let byte = match text.get(at + 1) {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return unicode(text, at, buffer).ok_or(("invalid unicode escape code", at)),
        _ => return Err(("invalid escape code", at)),
    };
    buffer.push(byte);
    Ok(at + 2)
}

/// The same for `\u` and four digits, or two of these for a character beyond the first plane.
fn unicode(text: &[u8], at: usize, buffer: &mut Vec<u8>) -> Option<usize> {
    let first = unit(text, at)?;
    let (code, end) = match first {
        0xd800..=0xdbff => {
            let second = unit(text, at + 6).filter(|second| (0xdc00..=0xdfff).contains(second))?;
            (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), at + 12)
        }
        _ => (first, at + 6),
    };
    let character = char::from_u32(code)?;
    buffer.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(end)
}

fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

/// Digits of which every number is exact.
const EXACT_DIGITS: usize = 15;

/// Reads the number at the beginning of `text`: it and its length, or what is wrong.
pub(super) fn number(text: &[u8], lenient: bool) -> Result<(f64, usize), &'static str> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let sign = usize::from(negative);
    let signed = |value: f64| if negative { -value } else { value };
    match digits {
        [b'0', b'x' | b'X' | b'0'..=b'9', ..] if !lenient => return Err("invalid number"),
        [b'0', b'x' | b'X', rest @ ..] => {
            let length = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let value = rest[..length].iter().fold(0.0, |value, &digit| {
                value * 16.0 + f64::from(char::from(digit).to_digit(16).unwrap_or(0))
            });
            // Without a digit only the zero is a number.
            return Ok((signed(value), sign + if length == 0 { 1 } else { 2 + length }));
        }
        [b'0'..=b'9', ..] => {}
        _ => return named(digits, lenient, negative).map(|(value, length)| (signed(value), sign + length)),
    }
    let count = |from: usize| {
        digits[from.min(digits.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let whole = count(0);
    let mut length = whole;
    if digits.get(length) == Some(&b'.') {
        length += 1 + count(length + 1);
    }
    if let Some(b'e' | b'E') = digits.get(length) {
        let start = length + 1 + usize::from(matches!(digits.get(length + 1), Some(b'+' | b'-')));
        let exponent = count(start);
        if exponent > 0 {
            length = start + exponent;
        }
    }
    if length == whole && whole <= EXACT_DIGITS {
        let value = digits[..whole].iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        return Ok((signed(value as f64), sign + length));
    }
    if let Some(value) = decimal(&digits[..length], whole) {
        return Ok((signed(value), sign + length));
    }
    let value = std::str::from_utf8(&digits[..length]).ok().and_then(|text| text.parse::<f64>().ok());
    value.map(|value| (signed(value), sign + length)).ok_or("invalid number")
}

/// A number with a point after `whole` digits and no exponent, if it has so few digits that they and the power of ten they
/// are divided by are exact: then the quotient is what is closest.
fn decimal(text: &[u8], whole: usize) -> Option<f64> {
    let decimals = text.get(whole + 1..)?;
    let is_short = text.len() <= EXACT_DIGITS + 1 && decimals.iter().all(u8::is_ascii_digit);
    if !is_short || text[whole] != b'.' {
        return None;
    }
    let add = |value: u64, digit: &u8| value * 10 + u64::from(digit - b'0');
    let digits = text[..whole].iter().chain(decimals).fold(0, add);
    Some(digits as f64 / POWERS[decimals.len()])
}

/// Of ten.
const POWERS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// `inf`, `infinity` and `nan`, in any case.
fn named(text: &[u8], lenient: bool, negative: bool) -> Result<(f64, usize), &'static str> {
    let starts =
        |name: &str| text.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()));
    let names = [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)];
    let found = names.into_iter().find(|(name, _)| lenient && starts(name));
    let wrong = if negative { "invalid number" } else { "invalid token" };
    found.map(|(name, value)| (value, name.len())).ok_or(wrong)
}

/// What lua-cjson calls what is at `at`, and where it says that is.
pub(super) fn token(text: &[u8], at: usize, lenient: bool) -> (&'static str, usize) {
    let rest = &text[at..];
    let name = match rest {
        [] => "T_END",
        [b'{', ..] => "T_OBJ_BEGIN",
        [b'}', ..] => "T_OBJ_END",
        [b'[', ..] => "T_ARR_BEGIN",
        [b']', ..] => "T_ARR_END",
        [b',', ..] => "T_COMMA",
        [b':', ..] => "T_COLON",
        [b'"', ..] => match string(text, at, &mut Vec::new()) {
            Ok(_) => "T_STRING",
            Err((why, place)) => return (why, place),
        },
        [b't', b'r', b'u', b'e', ..] | [b'f', b'a', b'l', b's', b'e', ..] => "T_BOOLEAN",
        [b'n', b'u', b'l', b'l', ..] => "T_NULL",
        _ => match number(rest, lenient) {
            Ok(_) => "T_NUMBER",
            Err(why) => why,
        },
    };
    (name, at)
}
