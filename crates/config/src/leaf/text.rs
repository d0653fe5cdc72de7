//! Free text, files and Lua.

use std::path::PathBuf;

use schemars::{Schema, json_schema};

use crate::{
    decode::{Leaf, Mistake},
    report::quote,
    yaml::node::Scalar,
};

/// Any text. Numbers and truth values are taken as they are written, so that `command: [server, 80]`
/// needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text(pub(crate) String);

impl Leaf for Text {
    const WHAT: &'static str = "text";
    const EXAMPLE: &'static str = "text";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        if scalar.text.contains('\0') {
            return Err(Mistake::new("text with a NUL in it", "remove the character"));
        }
        Ok(Self(scalar.text.clone()))
    }

    fn form() -> Schema {
        json_schema!({ "title": "text", "type": ["string", "number", "boolean"] })
    }
}

/// Text that names or says something: a key, a queue, a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filled(pub(crate) String);

impl Leaf for Filled {
    const WHAT: &'static str = "text that is not empty";
    const EXAMPLE: &'static str = "orders";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let Text(text) = Text::read(scalar)?;
        if text.trim().is_empty() { Err(Mistake::not::<Self>("nothing")) } else { Ok(Self(text)) }
    }

    fn form() -> Schema {
        json_schema!({ "title": "text", "type": ["string", "number", "boolean"], "minLength": 1 })
    }
}

/// The path of a file, relative to the folder of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File(pub(crate) PathBuf);

impl Leaf for File {
    const WHAT: &'static str = "a file";
    const EXAMPLE: &'static str = "apps/orders.lua";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = &scalar.text;
        if text.is_empty() || text.contains(|c: char| c.is_control()) {
            let message = format!("{} is not the path of a file", quote(text));
            return Err(Mistake::new(message, "write one line, like `apps/orders.lua`"));
        }
        Ok(Self(text.into()))
    }

    fn form() -> Schema {
        json_schema!({ "title": "file", "type": "string", "minLength": 1 })
    }
}

/// The path of a folder, relative to that of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Leaf for Folder {
    const WHAT: &'static str = "a folder";
    const EXAMPLE: &'static str = "state";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = &scalar.text;
        if text.is_empty() || text.contains(|c: char| c.is_control()) {
            let message = format!("{} is not the path of a folder", quote(text));
            return Err(Mistake::new(message, "write one line, like `state` or `/var/lib/tidegate`"));
        }
        Ok(Self(text.into()))
    }

    fn form() -> Schema {
        json_schema!({ "title": "folder", "type": "string", "minLength": 1 })
    }
}

/// A path for requests that Tidegate itself makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestPath(pub(crate) String);

impl Leaf for RequestPath {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = "/healthz";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = &scalar.text;
        let sendable = |c: char| c.is_ascii_graphic() && c != '#';
        if text.starts_with('/') && text.chars().all(sendable) {
            return Ok(Self(text.clone()));
        }
        let message = format!("{} cannot be requested", quote(text));
        Err(Mistake::new(message, "start it with `/` and percent-encode blanks and non-ASCII letters"))
    }

    fn form() -> Schema {
        json_schema!({ "title": "path", "type": "string", "pattern": r#"^/[!-"$-~]*$"# })
    }
}

/// Lua: one line that ends in `.lua` is a file, anything else the code itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    File(PathBuf),
    Inline {
        source: String,
        /// Of the configuration, where the source starts.
        line: usize,
    },
}

impl Leaf for Code {
    const WHAT: &'static str = "Lua";
    const EXAMPLE: &'static str = "hooks/auth.lua` or `ngx.exit(403)";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.trim();
        if text.is_empty() {
            return Err(Mistake::new(
                "empty Lua",
                "write code or the path of a `.lua` file, or remove the key",
            ));
        }
        if text.rsplit_once('.').is_some_and(|(_, extension)| extension == "lua")
            && !text.contains(['\n', '\r'])
        {
            let path = Scalar { text: text.to_owned(), ..scalar.clone() };
            return File::read(&path).map(|File(path)| Self::File(path));
        }
        Ok(Self::Inline { source: scalar.text.clone(), line: scalar.line })
    }

    fn form() -> Schema {
        json_schema!({ "title": "Lua", "type": "string", "minLength": 1 })
    }
}
