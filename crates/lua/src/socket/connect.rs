//! Getting a connection: from a pool, or to an address, a name or a file.

use std::{
    ffi::OsStr,
    io,
    net::{IpAddr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    rc::Rc,
    str,
    time::Duration,
};

use tokio::{
    net::{TcpSocket, UnixStream},
    time::timeout,
};

use super::{
    busy::Wait,
    failure,
    link::Link,
    pool::{Place, Pool, Ticket, Turn},
    resolver::Resolver,
    stream::Stream,
    tcp::{Cause, Outcome, Tcp},
};
use crate::Reply;

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    File(PathBuf),
    Address(SocketAddr),
    Name(String, u16),
}

impl Target {
    /// As it is written in Lua: a name, an address, or `unix:` and a path.
    pub(crate) fn parse(host: &[u8], port: u16) -> Result<Self, String> {
        let bad =
            |why| Err(format!("failed to parse host name \"{}\": {why}", String::from_utf8_lossy(host)));
        if host.len() >= 5 && host[..5].eq_ignore_ascii_case(b"unix:") {
            let path = &host[5..];
            if path.is_empty() || path.contains(&0) {
                return bad("no path in the unix domain socket");
            }
            return Ok(Self::File(OsStr::from_bytes(path).into()));
        }
        let Ok(name) = str::from_utf8(host) else { return bad("invalid host") };
        if name.is_empty() {
            return bad("no host");
        }
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address((address, port).into()));
        }
        if name.bytes().any(|byte| byte <= b' ' || b"/[]@:".contains(&byte)) {
            return bad("invalid host");
        }
        Ok(Self::Name(name.to_owned(), port))
    }
}

/// Connects `tcp`, which is not connected: by taking a connection from `pool`, or making one that it counts.
pub(crate) fn connect(
    tcp: &Rc<Tcp>,
    pool: Option<Rc<Pool>>,
    resolver: &Rc<Resolver>,
    target: impl FnOnce() -> Result<Target, String>,
    from: Option<SocketAddr>,
) -> Outcome<()> {
    let mut start = Start::Alone;
    if let Some(pool) = pool {
        if let Some(link) = pool.take() {
            tcp.attach(link);
            return Outcome::Ready(());
        }
        start = match pool.enter() {
            Place::Free(ticket) => Start::Counted(ticket),
            Place::Queued(turn) => Start::Queued(pool, turn),
            Place::Full => {
                return Outcome::Failed(Cause::Broken("too many waiting connect operations".into()));
            }
        };
    }
    let target = match target() {
        Ok(target) => target,
        Err(wrong) => return Outcome::Failed(Cause::Broken(wrong)),
    };
    let (tcp, resolver, guard) = (Rc::clone(tcp), Rc::clone(resolver), tcp.busy.with(Wait::Connect));
    Outcome::Wait(Box::pin(async move {
        let _guard = guard;
        let span = tcp.timeouts.get().connect;
        match establish(start, &resolver, &target, from, span).await {
            Ok(link) => {
                tcp.attach(link);
                Reply::Done
            }
            Err(failure) => {
                tcp.trouble.replace(failure.log);
                Reply::Failed(failure.text)
            }
        }
    }))
}

/// How a connection stands to its pool.
enum Start {
    /// It has none.
    Alone,
    Counted(Ticket),
    Queued(Rc<Pool>, Turn),
}

struct Failure {
    text: String,
    /// A line for the log.
    log: Option<String>,
}

async fn establish(
    start: Start,
    resolver: &Rc<Resolver>,
    target: &Target,
    from: Option<SocketAddr>,
    span: Duration,
) -> Result<Rc<Link>, Failure> {
    let ticket = match start {
        Start::Alone => None,
        Start::Counted(ticket) => Some(ticket),
        Start::Queued(pool, turn) => {
            let Ok(ticket) = timeout(span, turn.come()).await else {
                return Err(timed_out("queued connect timed out, when trying to connect to", target));
            };
            if let Some(link) = pool.take() {
                return Ok(link);
            }
            Some(ticket)
        }
    };
    let address = match target {
        Target::File(path) => {
            let stream = timed(span, target, UnixStream::connect(path)).await?;
            return Ok(Rc::new(Link::new(Stream::Unix(stream), ticket)));
        }
        Target::Address(address) => *address,
        Target::Name(name, port) => match resolver.resolve(name).await {
            Ok(address) => (address, *port).into(),
            Err(text) => return Err(Failure { text, log: None }),
        },
    };
    let stream = timed(span, &Target::Address(address), dial(address, from)).await?;
    Ok(Rc::new(Link::new(Stream::Tcp(stream), ticket)))
}

async fn dial(address: SocketAddr, from: Option<SocketAddr>) -> io::Result<tokio::net::TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    if let Some(from) = from {
        socket.bind(from)?;
    }
    socket.connect(address).await
}

async fn timed<T>(
    span: Duration,
    target: &Target,
    connecting: impl Future<Output = io::Result<T>>,
) -> Result<T, Failure> {
    match timeout(span, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            let (numbered, shown) = (failure::numbered(&error), Shown(target));
            let log = match target {
                Target::File(_) => format!("connect() to {shown} failed {numbered}"),
                _ => format!("connect() failed {numbered}, when connecting to {shown}"),
            };
            Err(Failure { text: failure::text(&error), log: Some(log) })
        }
        Err(_) => Err(timed_out("connect timed out, when connecting to", target)),
    }
}

fn timed_out(what: &str, target: &Target) -> Failure {
    Failure { text: "timeout".into(), log: Some(format!("lua tcp socket {what} {}", Shown(target))) }
}

/// As log lines name it.
struct Shown<'a>(&'a Target);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Target::File(path) => write!(f, "unix:{}", path.display()),
            Target::Address(address) => write!(f, "{address}"),
            Target::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_files_addresses_or_names() {
        let parse = |host: &str| Target::parse(host.as_bytes(), 80);
        assert_eq!(parse("unix:/tmp/a"), Ok(Target::File("/tmp/a".into())));
        assert_eq!(parse("UNIX:b"), Ok(Target::File("b".into())));
        assert_eq!(parse("127.0.0.1"), Ok(Target::Address(([127, 0, 0, 1], 80).into())));
        assert_eq!(parse("[::1]"), Ok(Target::Address("[::1]:80".parse().unwrap())));
        assert_eq!(parse("localhost"), Ok(Target::Name("localhost".into(), 80)));
        assert_eq!(parse(""), Err("failed to parse host name \"\": no host".into()));
        assert_eq!(parse("a b"), Err("failed to parse host name \"a b\": invalid host".into()));
    }
}
