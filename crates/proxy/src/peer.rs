//! Who gets an answer: a client, or Lua that made a subrequest.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
};

use crate::secure::Secure;

#[derive(Debug)]
pub(crate) enum Peer {
    Client(Client),
    Lua(Capture),
}

/// A client's connection.
#[derive(Debug)]
pub(crate) enum Client {
    Plain(TcpStream),
    Secure(Secure),
}

/// The body of an answer that is kept.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) bytes: Vec<u8>,
    /// As much is kept; an answer that has more is cut short.
    limit: usize,
    pub(crate) truncated: bool,
}

impl Capture {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, truncated: false }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.limit - self.bytes.len();
        if room == 0 && !bytes.is_empty() {
            self.truncated = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

impl Client {
    /// Its socket.
    pub(crate) fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(secure) => secure.stream(),
        }
    }

    pub(crate) fn split(&mut self) -> (Source<'_>, Sink<'_>) {
        match self {
            Self::Plain(stream) => {
                let (source, sink) = stream.split();
                (Source::Plain(source), Sink::Plain(sink))
            }
            Self::Secure(secure) => (Source::Secure(secure), Sink::Secure(secure)),
        }
    }
}

impl Peer {
    /// Takes the client's connection out, which leaves nobody here.
    pub(crate) fn take_client(&mut self) -> Option<Client> {
        match std::mem::replace(self, Self::Lua(Capture::new(0))) {
            Self::Client(client) => Some(client),
            lua @ Self::Lua(_) => {
                *self = lua;
                None
            }
        }
    }

    /// Where requests come from, if from anywhere, and where answers go.
    pub(crate) fn split(&mut self) -> (Option<Source<'_>>, Sink<'_>) {
        match self {
            Self::Client(client) => {
                let (source, sink) = client.split();
                (Some(source), sink)
            }
            Self::Lua(capture) => (None, Sink::Lua(capture)),
        }
    }

    /// Writes as much as can be written at once, which may be nothing.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Client(Client::Plain(stream)) => match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                written => written,
            },
            // What is sealed may have to wait for more than room.
            Self::Client(Client::Secure(_)) => Ok(0),
            Self::Lua(capture) => capture.write(bytes),
        }
    }

    /// Ready once the client has closed its connection. What it sent before, and has not been read, hides that. Lua
    /// that is gone takes its subrequest with it.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let stream = match self {
            Self::Client(Client::Plain(stream)) => stream,
            Self::Client(Client::Secure(secure)) => return secure.poll_gone(cx),
            Self::Lua(_) => return Poll::Pending,
        };
        match stream.poll_peek(cx, &mut ReadBuf::new(&mut [0])) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            // The queue is left in time for all that.
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Client(Client::Plain(stream)) => stream.shutdown().await,
            Self::Client(Client::Secure(secure)) => secure.end(),
            Self::Lua(_) => Ok(()),
        }
    }
}

/// Where requests come from.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Plain(ReadHalf<'a>),
    Secure(&'a Secure),
}

impl AsyncRead for Source<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(source) => Pin::new(source).poll_read(cx, space),
            Self::Secure(secure) => secure.poll_read(cx, space),
        }
    }
}

/// Where answers go.
#[derive(Debug)]
pub(crate) enum Sink<'a> {
    Plain(WriteHalf<'a>),
    Secure(&'a Secure),
    Lua(&'a mut Capture),
}

impl AsyncWrite for Sink<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(sink) => Pin::new(sink).poll_write(cx, bytes),
            Self::Secure(secure) => secure.poll_write(cx, &[IoSlice::new(bytes)]),
            Self::Lua(capture) => Poll::Ready(capture.write(bytes)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(sink) => Pin::new(sink).poll_write_vectored(cx, pieces),
            Self::Secure(secure) => secure.poll_write(cx, pieces),
            Self::Lua(capture) => {
                let piece = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
                Poll::Ready(capture.write(piece))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self {
            Self::Plain(_) | Self::Lua(_) => Poll::Ready(Ok(())),
            Self::Secure(secure) => secure.poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(sink) => Pin::new(sink).poll_shutdown(cx),
            Self::Secure(secure) => secure.poll_shutdown(cx),
            Self::Lua(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_is_allowed() {
        let mut capture = Capture::new(3);
        assert_eq!(capture.write(b"ab").unwrap(), 2);
        assert_eq!(capture.write(b"cd").unwrap(), 1);
        assert!(!capture.truncated);
        assert!(capture.write(b"d").is_err() && capture.truncated);
        assert_eq!(capture.bytes, b"abc");
    }
}
