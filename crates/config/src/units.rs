//! Numbers that carry their unit in the text, with their bounds in the type.
//!
//! | type | written | bounds in |
//! | --- | --- | --- |
//! | [`Span`] | `30s`, `1m30s`, `250ms` | milliseconds |
//! | [`Size`] | `16MiB`, `512B` | bytes |
//! | [`Percent`] | `85%`, `0.1%` | hundredths of a percent |
//! | [`Count`] | `3` | ones |
//! | [`Number`], [`Positive`] | `0.5` | |
//! | [`Rate`] | `20/1s` | |
//! | [`Amount`] | `3` or `50%` | |
//!
//! A number without its unit is refused with the form that was probably meant; so are units that
//! mean different things to different people (`16M`, `16MB`).

use std::{num::NonZeroU32, time::Duration};

use schemars::{Schema, json_schema};
use tidegate_core::policy;

use crate::{
    decode::{Leaf, Mistake},
    report::quote,
    yaml::node::Scalar,
};

pub(crate) mod quantity;

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// With their seconds.
const TIME_UNITS: [(&str, f64); 6] =
    [("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6)];

/// With their bytes, the largest first.
const SIZE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];

/// A span of time of `MIN` to `MAX` milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<const MIN: u64, const MAX: u64>(pub(crate) Duration);

impl<const MIN: u64, const MAX: u64> Leaf for Span<MIN, MAX> {
    const WHAT: &'static str = "a duration";
    const EXAMPLE: &'static str = "30s";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let span = parse_span(&scalar.text)?;
        let bounds = Duration::from_millis(MIN)..=Duration::from_millis(MAX);
        if bounds.contains(&span) { Ok(Self(span)) } else { Err(out_of_range::<Self>(scalar)) }
    }

    fn form() -> Schema {
        json_schema!({
            "title": "duration",
            "type": "string",
            "pattern": r"^([0-9]+(\.[0-9]+)?(us|ms|s|m|h|d))+$",
        })
    }

    fn bounds() -> Option<String> {
        Some(format!("`{}` to `{}`", show_span(MIN), show_span(MAX)))
    }
}

/// `MIN` to `MAX` bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Leaf for Size<MIN, MAX> {
    const WHAT: &'static str = "a size";
    const EXAMPLE: &'static str = "16MiB";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let size = parse_size(&scalar.text)?;
        if (MIN..=MAX).contains(&size) { Ok(Self(size)) } else { Err(out_of_range::<Self>(scalar)) }
    }

    fn form() -> Schema {
        json_schema!({
            "title": "size",
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB|TiB)$",
        })
    }

    fn bounds() -> Option<String> {
        Some(format!("`{}` to `{}`", show_size(MIN), show_size(MAX)))
    }
}

/// A share of `MIN` to `MAX` hundredths of a percent; 1.0 is 100 %.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percent<const MIN: u64, const MAX: u64>(pub(crate) f64);

impl<const MIN: u64, const MAX: u64> Leaf for Percent<MIN, MAX> {
    const WHAT: &'static str = "a percentage";
    const EXAMPLE: &'static str = "80%";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let percent = parse_percent(&scalar.text)?;
        let bounds = MIN as f64 / 100.0..=MAX as f64 / 100.0;
        if bounds.contains(&percent) { Ok(Self(percent / 100.0)) } else { Err(out_of_range::<Self>(scalar)) }
    }

    fn form() -> Schema {
        json_schema!({ "title": "percentage", "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$" })
    }

    fn bounds() -> Option<String> {
        let show = |hundredths: u64| format!("`{}%`", hundredths as f64 / 100.0);
        Some(format!("{} to {}", show(MIN), show(MAX)))
    }
}

/// A whole number of `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    pub(crate) const fn as_u32(self) -> u32 {
        const { assert!(MAX <= u32::MAX as u64) };
        self.0 as u32
    }
}

impl<const MIN: u64, const MAX: u64> Leaf for Count<MIN, MAX> {
    const WHAT: &'static str = "a whole number";
    const EXAMPLE: &'static str = "10";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        if !scalar.plain && scalar.text.parse::<u64>().is_ok() {
            let message = format!("expected {}, found {}", Self::WHAT, scalar.describe());
            return Err(Mistake::new(message, format!("remove the quotes: `{}`", scalar.text)));
        }
        if !scalar.is_number() {
            return Err(Mistake::not::<Self>(&scalar.describe()));
        }
        match scalar.text.parse() {
            Ok(count) if (MIN..=MAX).contains(&count) => Ok(Self(count)),
            _ => Err(out_of_range::<Self>(scalar)),
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "number", "type": "integer", "minimum": MIN, "maximum": MAX })
    }

    fn bounds() -> Option<String> {
        Some(format!("`{MIN}` to `{MAX}`"))
    }
}

/// A number that is not below zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) f64);

impl Leaf for Number {
    const WHAT: &'static str = "a number";
    const EXAMPLE: &'static str = "0.5";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        match split(&scalar.text) {
            Some((number, "")) if scalar.plain => Ok(Self(number)),
            _ => Err(Mistake::not::<Self>(&scalar.describe())),
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "number", "type": "number", "minimum": 0 })
    }
}

/// A number above zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Positive(pub(crate) f64);

impl Leaf for Positive {
    const WHAT: &'static str = "a number above zero";
    const EXAMPLE: &'static str = "100";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        match Number::read(scalar)?.0 {
            number if number > 0.0 => Ok(Self(number)),
            _ => Err(Mistake::new(
                format!("{} is not above zero", quote(&scalar.text)),
                format!("write it like `{}`", Self::EXAMPLE),
            )),
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "number", "type": "number", "exclusiveMinimum": 0 })
    }
}

/// A number in a time, per second; above zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate(pub(crate) f64);

impl Leaf for Rate {
    const WHAT: &'static str = "a rate";
    const EXAMPLE: &'static str = "20/1s";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = &scalar.text;
        let Some((count, period)) = text.split_once('/') else {
            return Err(Mistake::not::<Self>(&scalar.describe()));
        };
        match quantity::parse_rate(text, count, period)? {
            rate if rate > 0.0 => Ok(Self(rate)),
            _ => Err(Mistake::new(format!("{} is not above zero", quote(text)), "write it like `20/1s`")),
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "rate", "type": "string", "pattern": quantity::RATE })
    }
}

/// A number of instances, plain or as a share of those there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount(pub(crate) policy::Amount);

/// How many instances can come or go at once.
pub(crate) type Instances = Count<1, 1_000>;

/// How large a share of the instances can come or go at once.
pub(crate) type Share = Percent<100, 1_000_000>;

impl Leaf for Amount {
    const WHAT: &'static str = "a number of instances or a percentage";
    const EXAMPLE: &'static str = "1` or `50%";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        if scalar.text.ends_with('%') {
            return Share::read(scalar).map(|share| Self(policy::Amount::Share(share.0)));
        }
        if !scalar.is_number() {
            return Err(Mistake::not::<Self>(&scalar.describe()));
        }
        match Instances::read(scalar)?.as_u32().try_into() {
            Ok(instances) => Ok(Self(policy::Amount::Instances(instances))),
            Err(_) => Err(out_of_range::<Instances>(scalar)),
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "number or percentage", "anyOf": [Instances::form(), Share::form()] })
    }

    fn bounds() -> Option<String> {
        Some(format!("{}, or {}", Instances::bounds()?, Share::bounds()?))
    }
}

impl From<Instances> for policy::Amount {
    fn from(instances: Instances) -> Self {
        Self::Instances(NonZeroU32::new(instances.as_u32()).unwrap_or(NonZeroU32::MIN))
    }
}

fn out_of_range<T: Leaf>(scalar: &Scalar) -> Mistake {
    let help = format!("choose {} from {}", T::WHAT, T::bounds().unwrap_or_default());
    Mistake::new(format!("{} is out of range", quote(&scalar.text)), help)
}

/// Splits `30s` into `30` and `s`.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let whole =
        number.starts_with(|c: char| c.is_ascii_digit()) && number.ends_with(|c: char| c.is_ascii_digit());
    number.parse().ok().filter(|_| whole).map(|number| (number, unit))
}

pub(crate) fn parse_span(text: &str) -> Result<Duration, Mistake> {
    let mistake = |help| Err(Mistake::new(format!("{} is not a duration", quote(text)), help));
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() || text.is_empty() {
        let Some((number, tail)) = split(rest) else {
            return mistake("write a number and its unit, like `30s`, `250ms` or `1m30s`".into());
        };
        if tail.is_empty() {
            return missing_unit(text, "duration", "s", "the units are `us`, `ms`, `s`, `m`, `h` and `d`");
        }
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let unit = &tail[..end];
        let Some((_, seconds)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
            let units = "the units are `us`, `ms`, `s`, `m`, `h` and `d`";
            return mistake(match time_unit(unit) {
                Some(unit) => format!("write it like `{number}{unit}`; {units}"),
                None => units.into(),
            });
        };
        let part = Duration::try_from_secs_f64(number * seconds).ok();
        total = match part.and_then(|part| total.checked_add(part)) {
            Some(total) => total,
            None => return mistake("it is too long to count".into()),
        };
        rest = &tail[end..];
    }
    Ok(total)
}

/// The unit that other notations mean.
fn time_unit(unit: &str) -> Option<&'static str> {
    match unit.trim().to_lowercase().as_str() {
        "d" | "day" | "days" => Some("d"),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some("h"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => Some("ms"),
        "us" | "µs" | "μs" | "usec" | "micros" | "microseconds" => Some("us"),
        _ => None,
    }
}

pub(crate) fn parse_size(text: &str) -> Result<u64, Mistake> {
    let units = "the units are `B`, `KiB`, `MiB`, `GiB` and `TiB`";
    let mistake = |help| Err(Mistake::new(format!("{} is not a size", quote(text)), help));
    let Some((number, unit)) = split(text) else {
        return mistake("write a number and its unit, like `16MiB` or `512B`".into());
    };
    if unit.is_empty() {
        return missing_unit(text, "size", "KiB", units);
    }
    match SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, bytes)) => Ok((number * *bytes as f64) as u64),
        None => mistake(match SIZE_UNITS.iter().find(|(name, _)| same_size_unit(name, unit)) {
            Some((name, _)) => format!("write it like `{number}{name}`; {units}"),
            None => units.into(),
        }),
    }
}

/// `16M`, `16MB`, `16mib` and `16 MiB` all mean to be `16MiB`.
fn same_size_unit(name: &str, unit: &str) -> bool {
    let (name, unit) = (name.to_lowercase(), unit.trim().to_lowercase());
    unit.chars().next() == name.chars().next() && matches!(unit.get(1..), Some("" | "b" | "i" | "ib"))
}

pub(crate) fn parse_percent(text: &str) -> Result<f64, Mistake> {
    match split(text) {
        Some((number, "%")) => Ok(number),
        Some((number, "")) => {
            let meant = if number <= 1.0 { number * 100.0 } else { number };
            let message = format!("a percentage needs its sign, and {} has none", quote(text));
            Err(Mistake::new(message, format!("write it like `{meant}%`")))
        }
        _ => {
            let message = format!("{} is not a percentage", quote(text));
            Err(Mistake::new(message, "write it like `80%` or `0.5%`"))
        }
    }
}

fn missing_unit<T>(text: &str, what: &str, unit: &str, units: &str) -> Result<T, Mistake> {
    let message = format!("a {what} needs a unit, and {} has none", quote(text));
    Err(Mistake::new(message, format!("write it like `{text}{unit}`; {units}")))
}

fn show_span(millis: u64) -> String {
    let units = [("h", HOUR), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1)];
    let (unit, size) = units
        .into_iter()
        .find(|(_, size)| millis >= *size && millis.is_multiple_of(*size))
        .unwrap_or(("s", 1));
    format!("{}{unit}", millis / size)
}

fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS.into_iter().find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    let (unit, size) = unit.unwrap_or(("B", 1));
    format!("{}{unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar { text: text.into(), plain: true, line: 1 }
    }

    #[test]
    fn durations_add_up_their_parts() {
        for (text, micros) in [
            ("0s", 0),
            ("30s", 30_000_000),
            ("250ms", 250_000),
            ("7us", 7),
            ("1.5s", 1_500_000),
            ("0.1s", 100_000),
            ("1m30s", 90_000_000),
            ("1d", 86_400_000_000),
        ] {
            assert_eq!(parse_span(text), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_how_to_write_it() {
        for (text, help) in [
            ("30", "write it like `30s`; the units are `us`, `ms`, `s`, `m`, `h` and `d`"),
            ("5min", "write it like `5m`; the units are `us`, `ms`, `s`, `m`, `h` and `d`"),
            ("5 s", "write it like `5s`; the units are `us`, `ms`, `s`, `m`, `h` and `d`"),
            ("5 fortnights", "the units are `us`, `ms`, `s`, `m`, `h` and `d`"),
            ("", "write a number and its unit, like `30s`, `250ms` or `1m30s`"),
            ("-1s", "write a number and its unit, like `30s`, `250ms` or `1m30s`"),
            ("1.s", "write a number and its unit, like `30s`, `250ms` or `1m30s`"),
            ("1e3s", "the units are `us`, `ms`, `s`, `m`, `h` and `d`"),
            ("99999999999999999999999d", "it is too long to count"),
        ] {
            assert_eq!(parse_span(text).unwrap_err().help, help, "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_units_only() {
        assert_eq!(parse_size("16MiB"), Ok(16 << 20));
        assert_eq!(parse_size("1.5KiB"), Ok(1536));
        assert_eq!(parse_size("0B"), Ok(0));
        for text in ["16M", "16MB", "16Mi", "16 mib", "16mb"] {
            assert!(parse_size(text).unwrap_err().help.starts_with("write it like `16MiB`"), "{text}");
        }
        assert!(parse_size("16").unwrap_err().help.starts_with("write it like `16KiB`"));
        assert_eq!(parse_size("16X").unwrap_err().help, "the units are `B`, `KiB`, `MiB`, `GiB` and `TiB`");
    }

    #[test]
    fn a_bare_share_is_taken_for_what_it_most_likely_means() {
        assert_eq!(parse_percent("85%"), Ok(85.0));
        assert_eq!(parse_percent("0.8").unwrap_err().help, "write it like `80%`");
        assert_eq!(parse_percent("80").unwrap_err().help, "write it like `80%`");
    }

    #[test]
    fn bounds_belong_to_the_range() {
        type Wait = Span<SECOND, HOUR>;
        assert!(Wait::read(&plain("1s")).is_ok());
        assert!(Wait::read(&plain("1h")).is_ok());
        let mistake = Wait::read(&plain("999ms")).unwrap_err();
        assert_eq!(mistake.message, "`999ms` is out of range");
        assert_eq!(mistake.help, "choose a duration from `1s` to `1h`");
        assert!(Size::<KIB, MIB>::read(&plain("2MiB")).is_err());
        assert!(Percent::<1, 10_000>::read(&plain("0%")).is_err());
        assert!(Count::<1, 3>::read(&plain("4")).is_err());
        assert!(Count::<1, 3>::read(&plain("-1")).unwrap_err().message.ends_with("out of range"));
    }

    #[test]
    fn ranges_are_shown_in_the_largest_unit_that_fits() {
        assert_eq!(Span::<0, { 24 * HOUR }>::bounds().unwrap(), "`0s` to `24h`");
        assert_eq!(Span::<1, { 90 * SECOND }>::bounds().unwrap(), "`1ms` to `90s`");
        assert_eq!(Size::<512, { 3 * MIB }>::bounds().unwrap(), "`512B` to `3MiB`");
        assert_eq!(Percent::<1, 10_000>::bounds().unwrap(), "`0.01%` to `100%`");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in r"[0-9.a-zA-Zµ%/ +-]{0,12}") {
            let _ = (parse_span(&text), parse_size(&text), parse_percent(&text));
        }

        #[test]
        fn a_span_survives_being_shown(millis in 0..HOUR * 48) {
            prop_assert_eq!(parse_span(&show_span(millis)), Ok(Duration::from_millis(millis)));
        }
    }
}
