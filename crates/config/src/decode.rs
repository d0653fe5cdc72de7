//! [`Node`]s → typed values, with every mistake reported and none of them final.
//!
//! A type says here how it is read and what its JSON Schema is, side by side, so that the two cannot
//! drift apart: [`Leaf`] for what is written as one scalar, [`record!`](crate::decode::record) for
//! mappings with known keys, [`List`] and [`Map`] for many of the same. Decoding goes on after a mistake: what
//! could not be read is a hole ([`Field::Broken`]), which later checks pass over in silence because it has
//! been reported.
//!
//! Serde is not used because a serde deserializer ends at its first error.

use schemars::{Schema, SchemaGenerator};

use crate::{
    report::{Place, Report},
    yaml::node::{Kind, Node, Scalar},
};

mod collection;
mod record;

pub(crate) use collection::{List, Map};
pub(crate) use record::{Entries, Object, camel_case, record};

/// What can be read from a [`Node`].
pub(crate) trait Decode: Sized {
    /// `None` exactly when a mistake was reported that leaves no value.
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self>;

    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// The allowed values, where a schema cannot say it: `1ms to 24h`.
    fn range() -> Option<String> {
        None
    }
}

/// What is written as one scalar.
pub(crate) trait Leaf: Sized {
    /// For messages, with an article.
    const WHAT: &'static str;
    /// One right way to write it.
    const EXAMPLE: &'static str;

    /// Reads anything but null.
    fn read(scalar: &Scalar) -> Result<Self, Mistake>;

    /// Its schema.
    fn form() -> Schema;

    /// As [`Decode::range`].
    fn bounds() -> Option<String> {
        None
    }
}

/// Why a scalar is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }

    /// Something else than a `T`.
    pub(crate) fn not<T: Leaf>(found: &str) -> Self {
        Self::new(format!("expected {}, found {found}", T::WHAT), format!("write it like `{}`", T::EXAMPLE))
    }
}

impl<T: Leaf> Decode for T {
    fn decode(node: &Node, report: &mut Report<'_>) -> Option<Self> {
        let result = match &node.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => T::read(scalar),
            _ => Err(Mistake::not::<T>(&node.describe())),
        };
        result.map_err(|Mistake { message, help }| report.error(node.visible(), message, help)).ok()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        T::form()
    }

    fn range() -> Option<String> {
        T::bounds()
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// What became of one key of a record.
#[derive(Debug)]
pub(crate) enum Field<T> {
    Given(Located<T>),
    /// Not in the file, and without a default.
    Absent,
    /// Reported.
    Broken,
}

impl<T> Field<T> {
    pub(crate) fn given(&self) -> Option<&Located<T>> {
        match self {
            Self::Given(located) => Some(located),
            Self::Absent | Self::Broken => None,
        }
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.given().map(|located| &located.value)
    }

    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Absent is `Some(None)`; only a mistake is `None`.
    #[expect(clippy::option_option, reason = "a key that is not there differs from one that is wrong")]
    pub(crate) fn optional(&self) -> Option<Option<&Located<T>>> {
        match self {
            Self::Given(located) => Some(Some(located)),
            Self::Absent => Some(None),
            Self::Broken => None,
        }
    }
}
