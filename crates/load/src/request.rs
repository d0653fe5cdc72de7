//! The one request that is sent again and again, as bytes that are made once.

use std::{fmt, str::FromStr};

use crate::url::Url;

/// A method, the headers that were asked for, and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}

impl Default for Request {
    fn default() -> Self {
        Self { method: Method::get(), headers: Vec::new(), body: Vec::new() }
    }
}

impl Request {
    /// Head and body as they go out.
    pub(crate) fn to_bytes(&self, url: &Url) -> Vec<u8> {
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, url.path())];
        if !self.sets("host") {
            lines.push(format!("Host: {}", url.authority()));
        }
        if !self.sets("user-agent") {
            lines.push(concat!("User-Agent: tidegate-load/", env!("CARGO_PKG_VERSION")).into());
        }
        if !self.sets("accept") {
            lines.push("Accept: */*".into());
        }
        lines.extend(self.headers.iter().map(|Header { name, value }| format!("{name}: {value}")));
        if !self.body.is_empty() || self.method.expects_body() {
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Whether the connection stays usable once this has been answered.
    pub(crate) fn keeps_alive(&self) -> bool {
        let closes = |header: &Header| {
            header.name.eq_ignore_ascii_case("connection")
                && header.value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close"))
        };
        !self.headers.iter().any(closes)
    }

    fn sets(&self, name: &str) -> bool {
        self.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
    }
}

/// A request method, in the spelling that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method(String);

impl Method {
    pub fn get() -> Self {
        Self("GET".into())
    }

    pub fn post() -> Self {
        Self("POST".into())
    }

    pub(crate) fn is_head(&self) -> bool {
        self.0 == "HEAD"
    }

    /// Whether a request may be sent again when its reused connection turns out to be closed.
    pub(crate) fn is_retried(&self) -> bool {
        matches!(self.0.as_str(), "GET" | "HEAD")
    }

    fn expects_body(&self) -> bool {
        matches!(self.0.as_str(), "POST" | "PUT" | "PATCH")
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // Its answer is a tunnel, not a message.
        if text == "CONNECT" || !is_token(text) {
            return Err(Error::Method(text.into()));
        }
        Ok(Self(text.into()))
    }
}

/// A header to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

impl FromStr for Header {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, value) = text.split_once(':').ok_or_else(|| Error::HeaderForm(text.into()))?;
        let value = value.trim();
        if !is_token(name) {
            return Err(Error::HeaderName(name.into()));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Error::HeaderValue(name.into()));
        }
        // Framing follows from the body; two claims about it would make the request ambiguous.
        let framing = ["content-length", "transfer-encoding", "upgrade", "expect"];
        if framing.iter().any(|taken| name.eq_ignore_ascii_case(taken)) {
            return Err(Error::HeaderTaken(name.into()));
        }
        Ok(Self { name: name.into(), value: value.into() })
    }
}

/// Why a request cannot be sent as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is no request method")]
    Method(String),
    #[error("a header is written as \"name: value\", not {0:?}")]
    HeaderForm(String),
    #[error("{0:?} is no header name")]
    HeaderName(String),
    #[error("the value of header {0} holds a control character")]
    HeaderValue(String),
    #[error("header {0} follows from the request and cannot be set")]
    HeaderTaken(String),
}

fn is_token(text: &str) -> bool {
    let is_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(request: &Request) -> String {
        let url = "http://shop:8000/orders?n=1".parse().unwrap();
        String::from_utf8(request.to_bytes(&url)).unwrap()
    }

    #[test]
    fn a_get_has_no_body_and_no_length() {
        assert_eq!(
            bytes(&Request::default()),
            format!(
                "GET /orders?n=1 HTTP/1.1\r\nHost: shop:8000\r\nUser-Agent: tidegate-load/{}\r\nAccept: */*\r\n\r\n",
                env!("CARGO_PKG_VERSION")
            )
        );
    }

    #[test]
    fn a_post_says_how_long_it_is_even_when_empty() {
        let post = Request { method: "POST".parse().unwrap(), ..Request::default() };
        assert!(bytes(&post).ends_with("\r\nContent-Length: 0\r\n\r\n"));
        let post = Request { body: b"abc".to_vec(), ..post };
        assert!(bytes(&post).ends_with("\r\nContent-Length: 3\r\n\r\nabc"));
    }

    #[test]
    fn headers_that_are_asked_for_replace_the_usual_ones() {
        let headers = ["host: other", "ACCEPT:text/html", "X-Empty:"].map(|text| text.parse().unwrap());
        let text = bytes(&Request { headers: headers.into(), ..Request::default() });
        assert!(text.contains("\r\nhost: other\r\nACCEPT: text/html\r\nX-Empty: \r\n"), "{text}");
        assert!(!text.contains("shop:8000") && !text.contains("*/*"), "{text}");
    }

    #[test]
    fn connection_close_ends_keep_alive() {
        let with = |text: &str| Request { headers: vec![text.parse().unwrap()], ..Request::default() };
        assert!(!with("Connection: x, Close").keeps_alive());
        assert!(with("Connection: x").keeps_alive());
    }

    #[test]
    fn nothing_can_be_smuggled_through_a_header() {
        let refused =
            ["a", "a b: c", "a: b\r\nc: d", ": c", "Content-Length: 3", "transfer-encoding: chunked"];
        for text in refused {
            assert!(text.parse::<Header>().is_err(), "{text:?}");
        }
        for text in ["", "GE T", "GET\r\n", "CONNECT"] {
            assert!(text.parse::<Method>().is_err(), "{text:?}");
        }
    }
}
