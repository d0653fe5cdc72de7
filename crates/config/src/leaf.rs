//! What is written as one scalar and is not a number.
//!
//! [`text`]: free text, files, Lua; [`address`]: where things listen and are reached; [`pattern`]: what
//! requests are matched against; [`lua`]: chunk names and names of variables; [`policy`]: what scaling policies
//! have of their own; [`source`]: URLs and secrets of event sources; [`word`]: closed sets of words. Names are the types of
//! `tidegate_core` themselves.

use schemars::{Schema, json_schema};
use tidegate_core::{
    DictName, FleetId, OwnerId, PoolId, RouteId, SettingName, SourceId, UpstreamId,
    name::{self, MAX_LENGTH},
};

use crate::{
    decode::{Leaf, Mistake},
    report::quote,
    yaml::node::Scalar,
};

pub(crate) mod address;
pub(crate) mod auto;
pub(crate) mod lua;
pub(crate) mod pattern;
pub(crate) mod policy;
pub(crate) mod source;
pub(crate) mod text;
pub(crate) mod word;

macro_rules! names {
    ($($name:ident: $what:literal, $example:literal;)*) => {$(
        impl Leaf for $name {
            const WHAT: &'static str = $what;
            const EXAMPLE: &'static str = $example;

            fn read(scalar: &Scalar) -> Result<Self, Mistake> {
                Self::new(&scalar.text).map_err(|error| bad_name(&scalar.text, &error))
            }

            fn form() -> Schema {
                json_schema!({ "title": "name", "type": "string", "pattern": "^[A-Za-z0-9._-]{1,63}$" })
            }
        }
    )*};
}

names! {
    DictName: "the name of a dictionary", "sessions";
    OwnerId: "the name of an owner", "gateway-1";
    SettingName: "the name of a setting", "image";
    FleetId: "the name of a fleet", "orders";
    PoolId: "the name of a pool", "spot-a";
    RouteId: "the name of a route", "orders";
    SourceId: "the name of a source", "orders";
    UpstreamId: "the name of an upstream", "orders";
}

fn bad_name(text: &str, error: &name::Error) -> Mistake {
    let reason = match error {
        name::Error::Length(length) => format!("it has {length} characters"),
        name::Error::Character(character) => format!("{character:?} is not allowed"),
    };
    let message = format!("{} is not a name: {reason}", quote(text));
    Mistake::new(message, format!("a name is 1 to {MAX_LENGTH} letters, digits, `-`, `_` and `.`"))
}
