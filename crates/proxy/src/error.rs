//! Why a request was not served, said so that answer, retry and blame follow from it.

use tidegate_lua::Unloaded;

use crate::{http::body, wait::Fault};

/// What went wrong with one exchange.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("upstream refuses connections: {0}")]
    Connect(std::io::Error),
    #[error("upstream does not take connections in time")]
    ConnectTimeout,
    #[error("no TLS with the upstream: {0}")]
    Handshake(String),
    #[error("upstream connection was closed before the request was sent")]
    Unsent,
    #[error("upstream closed the connection without an answer")]
    NoAnswer,
    #[error("upstream does not answer in time")]
    AnswerTimeout,
    #[error("upstream stopped in the middle")]
    UpstreamStalled,
    #[error("answer of the upstream is malformed: {0}")]
    BadAnswer(String),
    #[error("no instance became ready in time")]
    NoInstance,
    #[error("no host of the upstream could be resolved")]
    NoAddress,
    #[error("too many requests wait for an instance")]
    QueueFull,
    #[error("client is gone")]
    ClientGone,
    #[error("client stalls")]
    ClientStalled,
    #[error("request body: {0}")]
    RequestBody(body::Error),
    #[error("the request body cannot be kept: {0}")]
    Spool(std::io::Error),
    #[error("lua failed")]
    Lua,
    #[error("a script is not there")]
    Unloaded(Unloaded),
    #[error("the balancer answers {0} instead")]
    Exit(u16),
    #[error("a header filter answers {0} instead")]
    Replaced(u16),
}

/// When the same request may be tried once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The upstream cannot have seen it.
    Always,
    /// The upstream may have acted on it.
    IfRepeatable,
    Never,
}

impl Error {
    /// What the client is told; 499 is only ever logged.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Connect(_)
            | Self::Handshake(_)
            | Self::NoAddress
            | Self::Unsent
            | Self::NoAnswer
            | Self::BadAnswer(_) => 502,
            Self::ConnectTimeout | Self::AnswerTimeout | Self::UpstreamStalled => 504,
            Self::NoInstance | Self::QueueFull | Self::Unloaded(Unloaded::Unreadable) => 503,
            Self::ClientGone => 499,
            Self::ClientStalled => 408,
            Self::RequestBody(body::Error::TooLarge) => 413,
            Self::RequestBody(_) => 400,
            Self::Spool(_) | Self::Lua | Self::Unloaded(Unloaded::Invalid) => 500,
            Self::Unloaded(Unloaded::Missing) => 404,
            Self::Exit(code) | Self::Replaced(code) => *code,
        }
    }

    /// What the client is told about it: nothing that is not its business.
    pub(crate) const fn public(&self) -> &'static str {
        match self {
            Self::Connect(_)
            | Self::Handshake(_)
            | Self::NoAddress
            | Self::Unsent
            | Self::NoAnswer
            | Self::BadAnswer(_) => "the upstream failed",
            Self::ConnectTimeout | Self::AnswerTimeout | Self::UpstreamStalled => {
                "the upstream took too long"
            }
            Self::NoInstance | Self::QueueFull => "no instance can take the request now",
            Self::ClientStalled => "the request takes too long",
            Self::RequestBody(body::Error::TooLarge) => "the request body is too large",
            Self::RequestBody(_) => "the request body is malformed",
            Self::ClientGone
            | Self::Spool(_)
            | Self::Lua
            | Self::Unloaded(_)
            | Self::Exit(_)
            | Self::Replaced(_) => "",
        }
    }

    /// In the words that those who read nginx's log look for.
    pub(crate) fn as_nginx_says_it(&self) -> String {
        const TIMED_OUT: &str = "upstream timed out (110: Connection timed out) while";
        match self {
            Self::Connect(error) => {
                let text = error.to_string();
                let reason = text.split(" (os error").next().unwrap_or(&text);
                let number = error.raw_os_error().map_or_else(String::new, |number| format!("{number}: "));
                format!("connect() failed ({number}{reason}) while connecting to upstream")
            }
            Self::ConnectTimeout => format!("{TIMED_OUT} connecting to upstream"),
            Self::Handshake(reason) => {
                format!("SSL_do_handshake() failed (SSL: {reason}) while SSL handshaking to upstream")
            }
            Self::AnswerTimeout => format!("{TIMED_OUT} reading response header from upstream"),
            Self::UpstreamStalled => format!("{TIMED_OUT} reading upstream"),
            Self::Unsent => "upstream closed connection while sending request to upstream".into(),
            Self::NoAnswer => {
                "upstream prematurely closed connection while reading response header from upstream".into()
            }
            Self::BadAnswer(reason) => {
                format!("upstream sent an invalid answer ({reason}) while reading upstream")
            }
            other => other.to_string(),
        }
    }

    pub(crate) const fn retry(&self) -> Retry {
        match self {
            Self::Connect(_) | Self::ConnectTimeout | Self::Handshake(_) | Self::Unsent => Retry::Always,
            Self::NoAnswer => Retry::IfRepeatable,
            _ => Retry::Never,
        }
    }

    /// Whether the endpoint, rather than the client or the gateway, is to blame.
    pub(crate) const fn is_upstream(&self) -> bool {
        matches!(
            self,
            Self::Connect(_)
                | Self::ConnectTimeout
                | Self::NoAddress
                | Self::Handshake(_)
                | Self::Unsent
                | Self::NoAnswer
                | Self::AnswerTimeout
                | Self::UpstreamStalled
                | Self::BadAnswer(_)
        )
    }

    /// A read from or write to the client failed.
    pub(crate) const fn client(fault: &Fault) -> Self {
        match fault {
            Fault::Timeout => Self::ClientStalled,
            Fault::Io(_) => Self::ClientGone,
        }
    }
}
