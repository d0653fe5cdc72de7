//! What event sources are written with: URLs of servers, and where secrets are to be found.

use schemars::{Schema, json_schema};
use tidegate_core::snapshot;

use crate::{
    decode::{Leaf, Mistake},
    leaf::address::is_host_name,
    report::quote,
    yaml::node::Scalar,
};

/// `scheme://[user@]host[:port][/rest]`. A password cannot be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    pub(crate) user: Option<String>,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// From the first slash or question mark on.
    pub(crate) rest: String,
}

impl Leaf for Url {
    const WHAT: &'static str = "a URL";
    const EXAMPLE: &'static str = "redis://127.0.0.1:6379";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        parse(scalar.text.as_str())
    }

    fn form() -> Schema {
        json_schema!({ "title": "URL", "type": "string", "pattern": "^[a-z]+://[^ ]+$" })
    }
}

fn parse(text: &str) -> Result<Url, Mistake> {
    // What is shown of it must not be a password.
    let wrong = |why: &str| {
        let shown = if text.contains('@') { "this".to_owned() } else { quote(text) };
        Mistake::new(format!("{shown} is not a URL: {why}"), format!("write it like `{}`", Url::EXAMPLE))
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no `scheme://`"))?;
    if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(wrong("the scheme is lower-case letters"));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if !rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(wrong("percent-encode blanks and what is not ASCII"));
    }
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err(Mistake::new(
            "a password must not be in the configuration",
            "take it out of the URL and refer to it, like `password: ${env:QUEUE_PASSWORD}`",
        ));
    }
    let (host, port) = host_and_port(place).map_err(&wrong)?;
    Ok(Url {
        scheme: scheme.to_owned(),
        user: user.filter(|user| !user.is_empty()).map(str::to_owned),
        host,
        port,
        rest: rest.to_owned(),
    })
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), &'static str> {
    let number =
        |port: &str| port.parse::<u16>().ok().filter(|&port| port > 0).ok_or("its port is 1 to 65535");
    if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("a bracket is not closed")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "what is in brackets is not an IPv6 address")?;
        let port = port.strip_prefix(':').map(number).transpose()?;
        return Ok((host.to_owned(), port));
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(number(port)?)),
        None => (place, None),
    };
    if is_host_name(host) { Ok((host.to_owned(), port)) } else { Err("it has no host") }
}

/// `${env:NAME}` or `${file:PATH}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretReference(pub(crate) snapshot::Secret);

impl Leaf for SecretReference {
    const WHAT: &'static str = "a reference to a secret";
    const EXAMPLE: &'static str = "${env:QUEUE_PASSWORD}` or `${file:/run/secrets/queue}";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        let inner = scalar.text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
        let reference = inner.and_then(|inner| match inner.split_once(':')? {
            ("env", name) if !name.is_empty() && !name.contains(['=', '\0']) => {
                Some(snapshot::Secret::Env(name.to_owned()))
            }
            ("file", path) if !path.is_empty() && !path.contains('\0') => {
                Some(snapshot::Secret::File(path.into()))
            }
            _ => None,
        });
        reference.map(Self).ok_or_else(|| {
            // What stands there may be the secret: it is not repeated.
            let help = format!("keep it out of the configuration and refer to it: `{}`", Self::EXAMPLE);
            Mistake::new("this is not a reference to a secret", help)
        })
    }

    fn form() -> Schema {
        json_schema!({ "title": "secret", "type": "string", "pattern": r"^\$\{(env|file):.+\}$" })
    }
}

/// What counts while a source is not known: `hold`, `lastValue`, or a number of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fallback(pub(crate) tidegate_core::policy::Fallback);

impl Leaf for Fallback {
    const WHAT: &'static str = "a fallback";
    const EXAMPLE: &'static str = "hold`, `lastValue` or `4";

    fn read(scalar: &Scalar) -> Result<Self, Mistake> {
        use tidegate_core::policy::Fallback::{Hold, Instances, LastValue};
        match scalar.text.as_str() {
            "hold" => Ok(Self(Hold)),
            "lastValue" => Ok(Self(LastValue)),
            text => {
                let count = text.parse().ok().filter(|count| (1..=1_000).contains(count));
                count.map(|count| Self(Instances(count))).ok_or_else(|| {
                    let message = format!("{} is not a fallback", quote(text));
                    Mistake::new(
                        message,
                        "write `hold`, `lastValue`, or a number of instances from 1 to 1000",
                    )
                })
            }
        }
    }

    fn form() -> Schema {
        json_schema!({ "anyOf": [
            { "enum": ["hold", "lastValue"] },
            { "title": "number", "type": "integer", "minimum": 1, "maximum": 1000 },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = parse("redis://app@cache.internal:7000/3").unwrap();
        let host = (url.user.as_deref(), &*url.host, url.port, &*url.rest);
        assert_eq!((&*url.scheme, host), ("redis", (Some("app"), "cache.internal", Some(7000), "/3")));
        let url = parse("http://[::1]?a=b").unwrap();
        assert_eq!((&*url.host, url.port, &*url.rest), ("::1", None, "?a=b"));
    }

    #[test]
    fn what_is_no_url_says_why_and_a_password_is_not_repeated() {
        for (text, why) in [
            ("127.0.0.1:6379", "it has no `scheme://`"),
            ("redis://", "it has no host"),
            ("redis://h:0", "its port is 1 to 65535"),
            ("http://[::1", "a bracket is not closed"),
            ("http://h/a b", "percent-encode blanks and what is not ASCII"),
        ] {
            let message = parse(text).unwrap_err().message;
            assert!(message.ends_with(why), "{text}: {message}");
        }
        for text in ["redis://u:s3cret@h", "redis://:s3cret@h:1/0", "nats://s3cret@h:x"] {
            let Mistake { message, help } = parse(text).unwrap_err();
            assert!(!(message + &help).contains("s3cret"), "{text}");
        }
    }
}
