//! The scanner and numbers, against what the standard library and `serde_json` say.

use proptest::prelude::*;

use super::{number, scan};

fn written(value: f64, precision: u32) -> String {
    let mut out = Vec::new();
    number::write(value, precision, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_are_written_as_printf_does() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (4711.0, "4711"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (1.0 / 3.0, "0.33333333333333"),
        (1e13, "10000000000000"),
        (1e14, "1e+14"),
        (123_456_789_012_345.0, "1.2345678901234e+14"),
        (1e-5, "1e-05"),
        (0.000_123, "0.000123"),
        (1.7e308, "1.7e+308"),
        (5e-324, "4.9406564584125e-324"),
    ] {
        assert_eq!(written(value, 14), text);
    }
    assert_eq!(written(2.345_67, 3), "2.35");
    assert_eq!(written(123_456.0, 3), "1.23e+05");
    assert_eq!(written(0.1, 16), "0.1");
}

proptest! {
    #[test]
    fn sixteen_digits_are_close(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        let read: f64 = written(value, 16).parse().unwrap();
        prop_assert!(read.to_bits() == value.to_bits() || ((read - value) / value).abs() < 1e-15);
    }

    #[test]
    fn numbers_of_the_standard_are_read(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        let text = serde_json::to_string(&value).unwrap();
        let (read, length) = scan::number(text.as_bytes(), false).unwrap();
        prop_assert_eq!((read.to_bits(), length), (value.to_bits(), text.len()));
    }

    #[test]
    fn strings_of_the_standard_are_read(value in any::<String>()) {
        let text = serde_json::to_string(&value).unwrap();
        let mut buffer = Vec::new();
        let scanned = scan::string(text.as_bytes(), 0, &mut buffer).unwrap();
        let read = if scanned.escaped { &buffer[..] } else { &text.as_bytes()[1..scanned.end - 1] };
        prop_assert_eq!(read, value.as_bytes());
        prop_assert_eq!(scanned.end, text.len());
    }

    #[test]
    fn any_bytes_are_a_token_or_not(text in prop::collection::vec(any::<u8>(), 0..40)) {
        for lenient in [false, true] {
            let (_, at) = scan::token(&text, 0, lenient);
            prop_assert!(at <= text.len());
        }
    }
}
