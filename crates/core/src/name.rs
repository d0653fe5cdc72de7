//! Names of the things that people configure, each of its own type so that they cannot be mixed up.
//!
//! A name is cheap to clone (a shared string) and is checked once, where it is made: 1 to 63
//! characters out of `a-z A-Z 0-9 - _ .`, so that it can stand in a metric label, a file name
//! and a path without escaping.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

/// Longest name, in bytes: the limit of a DNS label.
pub const MAX_LENGTH: usize = 63;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a name must have 1 to {MAX_LENGTH} characters, not {0}")]
    Length(usize),
    #[error("{0:?} cannot stand in a name; use letters, digits, '-', '_' and '.'")]
    Character(char),
}

fn check(text: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > MAX_LENGTH {
        return Err(Error::Length(text.chars().count()));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')) {
        Some(character) => Err(Error::Character(character)),
        None => Ok(()),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Result<Self, Error> {
                check(text).map(|()| Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = String::deserialize(input)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

names! {
    /// A fleet.
    FleetId;
    /// An upstream.
    UpstreamId;
    /// A route.
    RouteId;
    /// A source of instances of a fleet.
    PoolId;
    /// An event source.
    SourceId;
    /// A shared dictionary.
    DictName;
    /// One of the settings that commands are given.
    SettingName;
    /// Whoever instances belong to.
    OwnerId;
    /// One instance of a fleet, or one static endpoint; unique over the life of a control plane.
    InstanceId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_stand_in_labels_and_paths_unescaped() {
        assert!(FleetId::new("orders-v2.eu_west").is_ok());
        assert_eq!(FleetId::new(""), Err(Error::Length(0)));
        assert_eq!(FleetId::new(&"x".repeat(64)), Err(Error::Length(64)));
        assert_eq!(FleetId::new("a/b"), Err(Error::Character('/')));
        assert_eq!(FleetId::new("größe"), Err(Error::Character('ö')));
    }
}
