//! Where requests go.
//!
//! A URL is taken apart by hand because so little of it is allowed: `http://host[:port][/path][?query]`,
//! in the characters that RFC 3986 lets stand there. Nothing is escaped or normalised, so what is
//! written is what the server gets. A fragment is dropped, as it never leaves a client.

use std::{fmt, str::FromStr};

/// An `http://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    /// Path and query as in the request line, beginning with `/`.
    path: String,
}

/// Why a text is no URL to send load to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("https is not supported yet; use an http:// URL")]
    Https,
    #[error("a URL begins with http://")]
    Scheme,
    #[error("user names and passwords in a URL are not supported; send an authorization header")]
    UserInfo,
    #[error("{0:?} is no host name")]
    Host(String),
    #[error("{0:?} is no port number")]
    Port(String),
    #[error("{0:?} cannot stand in a URL; write it percent-encoded")]
    Character(char),
}

impl Url {
    /// Without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// As in a `Host` header: the port only where it is not the usual one.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => return Err(Error::Https),
            _ => return Err(Error::Scheme),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Error::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        if let Some(character) = path.chars().find(|&c| !may_stand_in_path(c)) {
            return Err(Error::Character(character));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host: host.to_owned(), port, path })
    }
}

fn split_authority(authority: &str) -> Result<(&str, u16), Error> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (address, port),
        Some(_) => return Err(Error::Host(authority.to_owned())),
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if host.is_empty() || !host.chars().all(sound) {
                return Err(Error::Host(host.to_owned()));
            }
            (host, port)
        }
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((host, 80)),
        Some(number) => match number.parse() {
            Ok(port) if port > 0 && number.bytes().all(|b| b.is_ascii_digit()) => Ok((host, port)),
            _ => Err(Error::Port(number.to_owned())),
        },
        None => Err(Error::Host(authority.to_owned())),
    }
}

fn may_stand_in_path(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, String) {
        let url: Url = text.parse().unwrap();
        (url.host, url.port, url.path)
    }

    #[test]
    fn parts_of_a_url() {
        assert_eq!(parts("http://localhost:8000/a/b?c=d#e"), ("localhost".into(), 8000, "/a/b?c=d".into()));
        assert_eq!(parts("HTTP://example.com"), ("example.com".into(), 80, "/".into()));
        assert_eq!(parts("http://example.com?q=1"), ("example.com".into(), 80, "/?q=1".into()));
        assert_eq!(parts("http://[::1]:81/"), ("::1".into(), 81, "/".into()));
    }

    #[test]
    fn text_gives_the_url_back() {
        for text in ["http://[::1]:81/", "http://example.com/a?b", "http://10.0.0.1:8000/"] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let cases = [
            ("https://example.com/", Error::Https),
            ("example.com", Error::Scheme),
            ("ftp://example.com", Error::Scheme),
            ("http://me:secret@example.com/", Error::UserInfo),
            ("http:///path", Error::Host(String::new())),
            ("http://exa mple/", Error::Host("exa mple".into())),
            ("http://[zz]/", Error::Host("[zz]".into())),
            ("http://[::1]x/", Error::Host("[::1]x".into())),
            ("http://a:0/", Error::Port("0".into())),
            ("http://a:+80/", Error::Port("+80".into())),
            ("http://a:99999/", Error::Port("99999".into())),
            ("http://a/b c", Error::Character(' ')),
            ("http://a/ü", Error::Character('ü')),
            ("http://a/\r\nx: y", Error::Character('\r')),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Url>(), Err(error), "{text}");
        }
    }
}
