//! Reads and writes with a limit on how long they may stall.
//!
//! The operation is tried first; only when it has to wait is the deadline armed. On a busy
//! connection most operations succeed at once and never touch it.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    buffer::{Buffer, Buffers, Lease},
    deadline::Deadline,
};

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("took too long")]
    Timeout,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A deadline and how long each wait under it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit<'a> {
    pub(crate) deadline: &'a Deadline,
    pub(crate) span: Duration,
}

impl Limit<'_> {
    /// Waits until `operation` is ready, but no longer than the span.
    pub(crate) async fn bound<T>(
        &self,
        mut operation: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Fault> {
        let mut armed = false;
        poll_fn(|cx| {
            if let Poll::Ready(value) = operation(cx) {
                if armed {
                    self.deadline.disarm();
                }
                return Poll::Ready(Ok(value));
            }
            if !armed {
                self.deadline.arm(self.span);
                armed = true;
            }
            self.deadline.poll(cx).map(|()| Err(Fault::Timeout))
        })
        .await
    }

    /// Writes all of `bytes`, and sees them leave; the span counts anew whenever some were taken.
    pub(crate) async fn write<W: AsyncWrite + Unpin>(
        &self,
        io: &mut W,
        mut bytes: &[u8],
    ) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let count = self.bound(|cx| Pin::new(&mut *io).poll_write(cx, bytes)).await??;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            bytes = &bytes[count..];
        }
        Ok(self.bound(|cx| Pin::new(&mut *io).poll_flush(cx)).await??)
    }

    /// Writes all of each piece, one behind the other, in as few calls as that takes.
    pub(crate) async fn write_each<W: AsyncWrite + Unpin, const N: usize>(
        &self,
        io: &mut W,
        mut pieces: [&[u8]; N],
    ) -> Result<(), Fault> {
        while pieces.iter().filter(|piece| !piece.is_empty()).count() > 1 {
            let slices = pieces.map(IoSlice::new);
            let mut count = self.bound(|cx| Pin::new(&mut *io).poll_write_vectored(cx, &slices)).await??;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            for piece in &mut pieces {
                let of_piece = count.min(piece.len());
                *piece = &piece[of_piece..];
                count -= of_piece;
            }
        }
        match pieces.into_iter().find(|piece| !piece.is_empty()) {
            Some(piece) => self.write(io, piece).await,
            None => Ok(self.bound(|cx| Pin::new(&mut *io).poll_flush(cx)).await??),
        }
    }

    /// Reads some bytes; 0 is the end.
    pub(crate) async fn read<R: AsyncRead + Unpin>(
        &self,
        io: &mut R,
        slot: &mut Option<Lease>,
        pool: &std::rc::Rc<Buffers>,
    ) -> Result<usize, Fault> {
        Ok(self.bound(|cx| poll_read(io, cx, slot, pool)).await??)
    }
}

/// Reads into the buffer in `slot`; one that was taken for it goes back if there is nothing to read yet.
///
/// The buffer must have room: callers stop reading before it is full.
pub(crate) fn poll_read<R: AsyncRead + Unpin>(
    io: &mut R,
    cx: &mut Context<'_>,
    slot: &mut Option<Lease>,
    pool: &std::rc::Rc<Buffers>,
) -> Poll<io::Result<usize>> {
    let buffer: &mut Buffer = slot.get_or_insert_with(|| pool.take());
    let mut room = ReadBuf::new(buffer.room());
    debug_assert!(room.capacity() > 0, "reading into a full buffer would look like the end");
    let outcome = Pin::new(io).poll_read(cx, &mut room);
    let count = room.filled().len();
    match outcome {
        Poll::Ready(outcome) => {
            buffer.fill(count);
            Poll::Ready(outcome.map(|()| count))
        }
        Poll::Pending => {
            if buffer.is_empty() {
                *slot = None;
            }
            Poll::Pending
        }
    }
}
