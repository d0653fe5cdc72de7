//! What requests are matched against.

use schemars::{Schema, json_schema};
use tidegate_core::snapshot::HostMatch;

use crate::{
    decode::{Leaf, Mistake},
    leaf::address::is_host_name,
    report::quote,
    yaml::node::Scalar,
};

/// A host name in lower case, with or without a leading `*.`.
impl Leaf for HostMatch {
    const WHAT: &'static str = "a host name";
    const EXAMPLE: &'static str = "api.example.com` or `*.example.com";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.to_lowercase();
        let name = text.strip_suffix('.').unwrap_or(&text);
        match name.strip_prefix("*.") {
            Some(suffix) if is_host_name(suffix) => Ok(Self::Suffix(format!(".{suffix}"))),
            None if is_host_name(name) || is_bracketed(name) => Ok(Self::Exact(name.to_owned())),
            _ => {
                let help = match name.rsplit_once(':') {
                    Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                        format!("leave the port out: `{}`", host.rsplit('/').next().unwrap_or_default())
                    }
                    _ if !name.is_ascii() => "write it in punycode, like `xn--…`".into(),
                    _ if name.contains('*') => {
                        "`*` stands alone before the first dot, like `*.example.com`".into()
                    }
                    _ => "write a name like `api.example.com` or `*.example.com`".into(),
                };
                Err(Mistake::new(format!("{} is not a host name", quote(&scalar.text)), help))
            }
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "host name", "type": "string", "pattern": r"^((\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$" })
    }
}

/// An IPv6 address as it stands in a `Host` header.
fn is_bracketed(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    inner.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// A path; a regular expression is compiled later, where all of them share a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathPattern {
    Exact(String),
    /// Ends in a slash.
    Prefix(String),
    Regex(String),
}

impl Leaf for PathPattern {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = "/orders/*";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = scalar.text.as_str();
        if let Some(regex) = text.strip_prefix('~') {
            return read_regex(text, regex);
        }
        let (path, pattern): (&str, fn(String) -> Self) = match text.strip_suffix('*') {
            Some(path) if path.ends_with('/') => (path, Self::Prefix),
            _ => (text, Self::Exact),
        };
        match objection(path) {
            None => Ok(pattern(path.to_owned())),
            Some(help) => Err(Mistake::new(format!("{} matches no path", quote(text)), help)),
        }
    }

    fn form() -> Schema {
        json_schema!({ "title": "path", "type": "string", "pattern": "^[/~]" })
    }
}

fn read_regex(text: &str, regex: &str) -> Result<PathPattern, Mistake> {
    if let Some(regex) = regex.strip_prefix('*') {
        let help = format!("write `~ (?i){}` to ignore case", regex.trim_start());
        return Err(Mistake::new(format!("{} is not a regular expression", quote(text)), help));
    }
    match regex.trim_start() {
        "" => Err(Mistake::new(
            "an empty regular expression",
            "write it after the `~`, like `~ ^/users/[0-9]+$`",
        )),
        regex => Ok(PathPattern::Regex(regex.to_owned())),
    }
}

/// Why no request can have this path once it is decoded and its dots and slashes are resolved.
fn objection(path: &str) -> Option<&'static str> {
    let encoded = |part: &[u8]| part[0] == b'%' && part[1..].iter().all(u8::is_ascii_hexdigit);
    if !path.starts_with('/') {
        Some("start it with `/`, or with `~ ` for a regular expression")
    } else if path.contains('*') {
        Some("`*` stands alone after the last `/`, like `/orders/*`; `~ ` starts a regular expression")
    } else if path.contains(['?', '#']) {
        Some("a path ends before `?`; match arguments in Lua")
    } else if path.contains(|c: char| c.is_control()) {
        Some("remove the control character")
    } else if path.as_bytes().windows(3).any(encoded) {
        Some("paths are matched decoded: write the character itself")
    } else if path.contains("//") || path.split('/').any(|part| matches!(part, "." | "..")) {
        Some("paths are matched with `//`, `.` and `..` resolved: write the path that results")
    } else {
        None
    }
}

/// An HTTP method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Method(pub(crate) String);

impl Leaf for Method {
    const WHAT: &'static str = "a method";
    const EXAMPLE: &'static str = "GET";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let text = &scalar.text;
        if is_token(text) && !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Ok(Self(text.clone()));
        }
        let upper = text.trim().to_ascii_uppercase();
        let help =
            if is_token(&upper) { format!("write it like `{upper}`") } else { "write it like `GET`".into() };
        Err(Mistake::new(format!("{} is not a method", quote(text)), help))
    }

    fn form() -> Schema {
        json_schema!({
            "title": "method",
            "type": "string",
            "pattern": r"^[A-Z0-9!#$%&'*+.^_`|~-]+$",
            "examples": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        })
    }
}

/// The name of a header, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderName(pub(crate) String);

impl Leaf for HeaderName {
    const WHAT: &'static str = "the name of a header";
    const EXAMPLE: &'static str = "X-Api-Key";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        if is_token(&scalar.text) {
            return Ok(Self(scalar.text.clone()));
        }
        let message = format!("{} is not the name of a header", quote(&scalar.text));
        Err(Mistake::new(message, "write letters, digits and `-`, like `X-Api-Key`"))
    }

    fn form() -> Schema {
        json_schema!({ "title": "header", "type": "string", "pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$" })
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
