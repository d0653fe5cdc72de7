//! Numbers as C's `printf("%.14g")` writes them, without calling it where that is not needed.

use std::io::Write;

/// Appends a number with at most `precision` significant digits.
pub(super) fn write(number: f64, precision: u32, out: &mut Vec<u8>) {
    /// Integers below it have 14 digits at most.
    const EXACT: f64 = 1e14;
    if precision >= 14 && number.abs() < EXACT && number.fract() == 0.0 {
        return write_integer(number, out);
    }
    if matches!(precision, 14 | 15) && write_short(number, out) {
        return;
    }
    general(number, precision as usize, out);
}

fn write_integer(number: f64, out: &mut Vec<u8>) {
    let mut digits = [0; 16];
    let mut rest = number.abs() as u64;
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// Numbers with a few digits behind the point, as prices and coordinates have, and not many before it. Answers whether
/// this was one.
///
/// A number of 14 digits that means this one is what C would write, because no other number of so few does.
fn write_short(number: f64, out: &mut Vec<u8>) -> bool {
    /// Times a thousand, or a million, still far below 14 digits.
    const LARGEST: f64 = 1e7;
    let size = number.abs();
    if !(1e-2..LARGEST).contains(&size) {
        return false;
    }
    for (decimals, scale) in [(3, 1e3), (6, 1e6)] {
        let scaled = (size * scale).round();
        // Both are whole and exact, so the division gives the number that these digits mean.
        if (scaled / scale).to_bits() != size.to_bits() {
            continue;
        }
        let (mut digits, mut decimals) = (scaled as u64, decimals);
        while digits.is_multiple_of(10) {
            digits /= 10;
            decimals -= 1;
        }
        let unit = 10_u64.pow(decimals);
        write_integer((digits / unit) as f64 * number.signum(), out);
        out.push(b'.');
        let mut rest = digits % unit;
        let start = out.len();
        out.resize(start + decimals as usize, b'0');
        for place in out[start..].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        return true;
    }
    false
}

/// The shortest digits that mean this number are those asked for if there are no more of them, and numbers are closer to
/// each other than what is asked for; otherwise the number is rounded.
fn general(number: f64, precision: usize, out: &mut Vec<u8>) {
    /// With so many digits all numbers but the smallest are closer than one in the last.
    const CLOSE: usize = 15;
    let mut text = Text::default();
    let fits = write!(text, "{number:e}").is_ok();
    if !fits || precision > CLOSE || !number.is_normal() || text.digits() > precision {
        text = Text::default();
        // Writing to the buffer fails only when it is full, which 17 digits with their exponent never make it.
        let _ = write!(text, "{number:.*e}", precision - 1);
    }
    text.layout(precision, out);
}

/// A number in the form `-d.ddde-ddd`.
#[derive(Default)]
struct Text {
    bytes: [u8; 32],
    length: usize,
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut room = &mut self.bytes[self.length..];
        let written = room.write(bytes)?;
        self.length += written;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Text {
    fn digits(&self) -> usize {
        let bytes = &self.bytes[..self.length];
        bytes.iter().take_while(|&&byte| byte != b'e').filter(|byte| byte.is_ascii_digit()).count()
    }

    /// Appends the number as `%g` has it: with an exponent only where that is far from zero.
    fn layout(&self, precision: usize, out: &mut Vec<u8>) {
        let bytes = &self.bytes[..self.length];
        let mut parts = bytes.splitn(2, |&byte| byte == b'e');
        let (mantissa, exponent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if mantissa.first() == Some(&b'-') {
            out.push(b'-');
        }
        let mut digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
        while digits.len() > 1 && digits.last() == Some(&b'0') {
            digits.pop();
        }
        let exponent: i32 =
            std::str::from_utf8(exponent).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if exponent < -4 || exponent >= i32::try_from(precision).unwrap_or(i32::MAX) {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            // Writing to memory does not fail.
            let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
        } else if exponent < 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
            out.extend_from_slice(&digits);
        } else {
            let whole = exponent as usize + 1;
            let split = whole.min(digits.len());
            out.extend_from_slice(&digits[..split]);
            out.extend(std::iter::repeat_n(b'0', whole - split));
            if digits.len() > whole {
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(number: f64) -> Option<(String, String)> {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        let is_short = write_short(number, &mut short);
        general(number, 14, &mut long);
        is_short.then(|| (String::from_utf8(short).unwrap(), String::from_utf8(long).unwrap()))
    }

    #[test]
    fn a_few_decimals_take_the_short_way() {
        for number in [12.5, -0.25, 19.95, 0.1, -149.0625, 9_999_999.999_999, 0.012_345] {
            let (short, long) = both(number).unwrap();
            assert_eq!(short, long);
        }
        assert_eq!(both(1.0 / 3.0), None);
    }

    proptest! {
        #[test]
        fn both_ways_write_the_same(digits in -9_999_999_999_i64..9_999_999_999, decimals in 1..8_i32) {
            let number = digits as f64 / 10_f64.powi(decimals);
            if number.fract() != 0.0 && let Some((short, long)) = both(number) {
                prop_assert_eq!(short, long);
            }
        }
    }
}
