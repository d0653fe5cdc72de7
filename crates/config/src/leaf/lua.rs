//! What belongs to Lua and to variables: chunk names, names of variables and places.

use schemars::{Schema, json_schema};

use crate::{
    decode::{Leaf, Mistake},
    report::quote,
    yaml::node::Scalar,
};

/// Code that is never the path of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source(pub(crate) String);

impl Leaf for Source {
    const WHAT: &'static str = "Lua";
    const EXAMPLE: &'static str = "ngx.exit(403)";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        Ok(Self(scalar.text.clone()))
    }

    fn form() -> Schema {
        json_schema!({ "title": "Lua", "type": "string" })
    }
}

/// A chunk name with its mark: `=name` or `@file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkName(pub(crate) String);

impl Leaf for ChunkName {
    const WHAT: &'static str = "a chunk name";
    const EXAMPLE: &'static str = "=access";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        let name = text.strip_prefix(['=', '@']);
        if name.is_some_and(|name| !name.is_empty() && !name.contains(|c: char| c.is_control())) {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("{} is not a chunk name", quote(text));
        Err(Mistake::new(message, "start it with `=`, or with `@` for the path of a file"))
    }

    fn form() -> Schema {
        json_schema!({ "title": "chunk name", "type": "string", "pattern": "^[=@].+$" })
    }
}

/// `NAME`, or `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvironmentName(pub(crate) String);

impl Leaf for EnvironmentName {
    const WHAT: &'static str = "an environment variable";
    const EXAMPLE: &'static str = "HOME` or `MODE=test";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        let name = text.split('=').next().unwrap_or_default();
        if !name.is_empty() && !text.contains('\0') {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("{} is not an environment variable", quote(text));
        Err(Mistake::new(message, "write its name, like `HOME`, or give it a value, like `MODE=test`"))
    }

    fn form() -> Schema {
        json_schema!({ "title": "environment variable", "type": "string", "pattern": "^[^=]+(=.*)?$" })
    }
}

/// The name of a variable, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VariableName(pub(crate) String);

impl Leaf for VariableName {
    const WHAT: &'static str = "the name of a variable";
    const EXAMPLE: &'static str = "user_id";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if text.starts_with(|c: char| c.is_ascii_digit()) || text.is_empty() || !text.bytes().all(word) {
            let message = format!("{} is not the name of a variable", quote(text));
            let help = match text.strip_prefix('$') {
                Some(name) => format!("leave the `$` out: `{name}`"),
                None => "write letters, digits and `_`, like `user_id`".into(),
            };
            return Err(Mistake::new(message, help));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    fn form() -> Schema {
        json_schema!({ "title": "variable", "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })
    }
}

/// `@name`: a route that only `ngx.exec` goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlaceName(pub(crate) String);

impl Leaf for PlaceName {
    const WHAT: &'static str = "a name that starts with `@`";
    const EXAMPLE: &'static str = "'@fallback'";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        let name = text.strip_prefix('@');
        if name.is_some_and(|name| !name.is_empty() && !name.contains(|c: char| c.is_control())) {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("{} does not start with `@`", quote(text));
        Err(Mistake::new(message, "write it like `'@fallback'`"))
    }

    fn form() -> Schema {
        json_schema!({ "title": "named place", "type": "string", "pattern": "^@.+$" })
    }
}

/// The name of a file without a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName(pub(crate) String);

impl Leaf for FileName {
    const WHAT: &'static str = "the name of a file";
    const EXAMPLE: &'static str = "index.html";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        if matches!(text, "" | "." | "..") || text.contains(|c: char| c == '/' || c.is_control()) {
            let message = format!("{} is not the name of a file", quote(text));
            return Err(Mistake::new(message, "write it without a folder, like `index.html`"));
        }
        Ok(Self(text.to_owned()))
    }

    fn form() -> Schema {
        json_schema!({ "title": "file name", "type": "string", "pattern": "^[^/]+$" })
    }
}
