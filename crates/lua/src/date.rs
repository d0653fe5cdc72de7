//! Dates as HTTP writes them.

/// Seconds since the Unix epoch of a date in any of the three forms that RFC 9110 section 5.6.7 has.
pub(crate) fn parse_http(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split([' ', ',', '-']).filter(|word| !word.is_empty());
    let mut word = || words.next();
    weekday(word()?)?;
    let second = word()?;
    if second.starts_with(|c: char| c.is_ascii_digit()) {
        // Sun, 06 Nov 1994 08:49:37 GMT and Sunday, 06-Nov-94 08:49:37 GMT.
        let (day, month, year, time) = (second, word()?, word()?, word()?);
        (word()? == "GMT").then_some(())?;
        return seconds(number(day)?, month, full_year(year)?, time);
    }
    // Sun Nov  6 08:49:37 1994.
    let (day, time, year) = (word()?, word()?, word()?);
    seconds(number(day)?, second, full_year(year)?, time)
}

fn weekday(name: &str) -> Option<()> {
    const SHORT: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    SHORT.iter().any(|short| name.starts_with(short)).then_some(())
}

fn number(digits: &str) -> Option<i64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    (all_digits && digits.len() <= 4).then(|| digits.parse().ok())?
}

fn full_year(digits: &str) -> Option<i64> {
    let year = number(digits)?;
    Some(match digits.len() {
        2 if year < 70 => year + 2000,
        2 => year + 1900,
        _ => year,
    })
}

fn seconds(day: i64, month: &str, year: i64, time: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (month, _) = (1..).zip(MONTHS).find(|(_, name)| *name == month)?;
    let mut parts = time.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let valid = (1..=last_day(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && year >= 1970;
    (valid && parts.next().is_none())
        .then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

const fn last_day(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the Unix epoch to a date of the Gregorian calendar, counted in years that start in March,
/// so that the leap day is the last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_the_standard_mean_the_same() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_http(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_http(b"Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(parse_http(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Thu",
            "Thu, 18 Nov",
            "2010-11-18",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Thu, 31 Nov 1994 08:49:37 GMT",
            "Tue, 29 Feb 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http(text.as_bytes()), None, "{text}");
        }
    }
}
