//! `auto`, or a value.

use schemars::{Schema, json_schema};

use crate::{
    decode::{Leaf, Mistake},
    yaml::node::Scalar,
};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Auto<T> {
    Auto,
    Given(T),
}

impl<T> Auto<T> {
    pub(crate) fn given(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Given(value) => Some(value),
        }
    }
}

impl<T: Leaf> Leaf for Auto<T> {
    const WHAT: &'static str = T::WHAT;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        if scalar.text == "auto" {
            return Ok(Self::Auto);
        }
        T::read(scalar).map(Self::Given).map_err(|Mistake { message, help }| {
            // The other way to write it belongs into the help.
            Mistake::new(message, format!("{help}; or `auto`"))
        })
    }

    fn form() -> Schema {
        json_schema!({ "anyOf": [{ "const": "auto" }, T::form()] })
    }

    fn bounds() -> Option<String> {
        T::bounds().map(|range| format!("`auto`, or {range}"))
    }
}
