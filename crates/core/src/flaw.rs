//! What cannot be, in something that was written down and is read again.
//!
//! What is read back may have been altered: by a disk, by a crash, by hand. Whoever goes on from it checks it first, and a
//! [`Flaw`] says which field makes no sense.

use std::{fmt, time::Duration};

/// The longest time that is believed of anything that lasts: three thousand years. Sums of a few of them still are times.
const LONGEST: Duration = Duration::from_hours(24 * 366 * 3_000);

/// A field that holds what it cannot hold, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    field: String,
    why: String,
}

impl Flaw {
    /// `field` is flawed for the reason that `why` gives, unless it `is_sound`.
    pub fn unless(is_sound: bool, field: &str, why: impl FnOnce() -> String) -> Result<(), Self> {
        if is_sound { Ok(()) } else { Err(Self { field: field.to_owned(), why: why() }) }
    }

    /// A time that nobody can have lived or waited for.
    pub fn unless_short(field: &str, span: Duration) -> Result<(), Self> {
        Self::unless_within(field, span, LONGEST)
    }

    /// A time beyond `most`.
    pub fn unless_within(field: &str, span: Duration, most: Duration) -> Result<(), Self> {
        Self::unless(span <= most, field, || format!("{span:?} is longer than {most:?}"))
    }

    /// Puts the name of what it is a part of before that of the field.
    pub fn of(part: &str) -> impl Fn(Self) -> Self {
        move |Self { field, why }| Self { field: format!("{part}.{field}"), why }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl std::error::Error for Flaw {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaw_says_where_it_is() {
        assert_eq!(Flaw::unless(true, "due", || unreachable!()), Ok(()));
        let flaw = Flaw::unless(false, "due", || "7 of 5 rows".to_owned()).map_err(Flaw::of("pending"));
        assert_eq!(flaw.unwrap_err().to_string(), "pending.due: 7 of 5 rows");
        assert!(Flaw::unless_short("lived", Duration::MAX).is_err());
    }
}
