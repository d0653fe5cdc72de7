//! Who gets an answer: a client, or Lua that made a subrequest.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
};

#[derive(Debug)]
pub(crate) enum Peer {
    Client(TcpStream),
    Lua(Capture),
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

impl Peer {
    /// Takes the client's connection out, which leaves nobody here.
    pub(crate) fn take_client(&mut self) -> Option<TcpStream> {
        match std::mem::replace(self, Self::Lua(Capture::new(0))) {
            Self::Client(stream) => Some(stream),
            lua @ Self::Lua(_) => {
                *self = lua;
                None
            }
        }
    }

    /// Where requests come from, if from anywhere, and where answers go.
    pub(crate) fn split(&mut self) -> (Option<ReadHalf<'_>>, Sink<'_>) {
        match self {
            Self::Client(stream) => {
                let (source, sink) = stream.split();
                (Some(source), Sink::Client(sink))
            }
            Self::Lua(capture) => (None, Sink::Lua(capture)),
        }
    }

    /// Ready once the client has closed its connection. What it sent before, and has not been read, hides that. Lua
    /// that is gone takes its subrequest with it.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Self::Client(stream) = self else { return Poll::Pending };
        match stream.poll_peek(cx, &mut ReadBuf::new(&mut [0])) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            // The queue is left in time for all that.
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Client(stream) => stream.shutdown().await,
            Self::Lua(_) => Ok(()),
        }
    }
}

/// Where answers go.
#[derive(Debug)]
pub(crate) enum Sink<'a> {
    Client(WriteHalf<'a>),
    Lua(&'a mut Capture),
}

impl AsyncWrite for Sink<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Client(sink) => Pin::new(sink).poll_write(cx, bytes),
            Self::Lua(capture) => Poll::Ready(capture.write(bytes)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Client(sink) => Pin::new(sink).poll_write_vectored(cx, pieces),
            Self::Lua(capture) => {
                let piece = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
                Poll::Ready(capture.write(piece))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Client(sink) => Pin::new(sink).poll_shutdown(cx),
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
