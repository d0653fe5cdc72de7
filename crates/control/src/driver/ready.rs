//! Finds out whether an instance can serve, by asking it.

use std::{io, net::SocketAddr, time::Duration};

use tidegate_core::snapshot::ReadyCheck;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

/// What starts quickly is to be found quickly; to ask costs a connection to this machine.
const FIRST_PAUSE: Duration = Duration::from_millis(3);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Longest status line that is read.
const STATUS_LINE_BYTES: usize = 512;

/// Why an instance is not ready yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReady {
    #[error("{0}")]
    Connection(#[from] io::Error),
    #[error("no answer within {}s", ANSWER_WITHIN.as_secs())]
    Silent,
    #[error("GET {path} answered {status}")]
    Status { path: String, status: u16 },
    #[error("GET {path} was not answered in HTTP")]
    NotHttp { path: String },
}

/// Asks, again and again, until the instance is ready. `last` holds why it was not.
pub(super) async fn wait(address: SocketAddr, check: &ReadyCheck, last: &mut Option<NotReady>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match timeout(ANSWER_WITHIN, ask(address, check.path.as_deref())).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => *last = Some(error),
            Err(_) => *last = Some(NotReady::Silent),
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

async fn ask(address: SocketAddr, path: Option<&str>) -> Result<(), NotReady> {
    let mut stream = TcpStream::connect(address).await?;
    // While nobody listens on a port that connections are made from, too, the kernel may connect a
    // socket to itself.
    if stream.local_addr()? == address {
        return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
    }
    let Some(path) = path else {
        return Ok(());
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: tidegate-ready\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let line = status_line(&mut stream).await?;
    match status(&line) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(NotReady::Status { path: path.to_owned(), status }),
        None => Err(NotReady::NotHttp { path: path.to_owned() }),
    }
}

async fn status_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(STATUS_LINE_BYTES);
    while line.len() < STATUS_LINE_BYTES && !line.contains(&b'\n') {
        if stream.read_buf(&mut line).await? == 0 {
            break;
        }
    }
    Ok(line)
}

/// The status in `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?.get(1..)?;
    let digits = rest.strip_prefix(b" ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_strictly() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 503\r\n"), Some(503));
        for line in ["", "HTTP/1.1", "HTTP/1.1 2", "SSH-2.0-OpenSSH", "HTTP/1.1  200", "HTTP/2 200"] {
            assert_eq!(status(line.as_bytes()), None, "{line:?}");
        }
    }
}
