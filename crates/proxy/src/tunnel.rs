//! Carries bytes both ways once a client and an upstream have switched protocols.

use std::{future::poll_fn, io, pin::Pin, rc::Rc, task::Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    buffer::{Buffers, Lease},
    link::Link,
    peer::Client,
    wait::{Fault, Limit, poll_read},
};

/// Bytes that went in each direction.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// Carries bytes until both sides have ended, one fails, or nothing has moved for the limit's span.
///
/// `from_client` and `from_upstream` are bytes that have already been read.
pub(crate) async fn run(
    client: &mut Client,
    upstream: &mut Link,
    from_client: Option<Lease>,
    from_upstream: Option<Lease>,
    limit: Limit<'_>,
    pool: &Rc<Buffers>,
) -> Carried {
    let (client_read, client_write) = client.split();
    let (upstream_read, upstream_write) = upstream.split();
    let mut up = Direction::new(client_read, upstream_write, from_client);
    let mut down = Direction::new(upstream_read, client_write, from_upstream);
    limit.deadline.arm(limit.span);
    let outcome: Result<(), Fault> = poll_fn(|cx| {
        let before = (up.carried, down.carried);
        let ended = match (up.poll(cx, pool), down.poll(cx, pool)) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                return Poll::Ready(Err(error.into()));
            }
            (up, down) => up.is_ready() && down.is_ready(),
        };
        if ended {
            return Poll::Ready(Ok(()));
        }
        if before != (up.carried, down.carried) {
            limit.deadline.arm(limit.span);
        }
        limit.deadline.poll(cx).map(|()| Err(Fault::Timeout))
    })
    .await;
    limit.deadline.disarm();
    if let Err(fault) = outcome {
        tracing::debug!(%fault, "tunnel ended");
    }
    Carried { up: up.carried, down: down.carried }
}

struct Direction<R, W> {
    source: R,
    sink: W,
    buffer: Option<Lease>,
    source_ended: bool,
    sink_ended: bool,
    carried: u64,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Direction<R, W> {
    const fn new(source: R, sink: W, buffer: Option<Lease>) -> Self {
        Self { source, sink, buffer, source_ended: false, sink_ended: false, carried: 0 }
    }

    /// Moves what can be moved; ready once the source has ended and the sink knows.
    fn poll(&mut self, cx: &mut std::task::Context<'_>, pool: &Rc<Buffers>) -> Poll<io::Result<()>> {
        loop {
            while let Some(buffer) = self.buffer.as_mut().filter(|buffer| !buffer.is_empty()) {
                let count = std::task::ready!(Pin::new(&mut self.sink).poll_write(cx, buffer.unread()))?;
                buffer.consume(count);
                self.carried += count as u64;
            }
            self.buffer = None;
            std::task::ready!(Pin::new(&mut self.sink).poll_flush(cx))?;
            if self.source_ended {
                if !self.sink_ended {
                    std::task::ready!(Pin::new(&mut self.sink).poll_shutdown(cx))?;
                    self.sink_ended = true;
                }
                return Poll::Ready(Ok(()));
            }
            let count = std::task::ready!(poll_read(&mut self.source, cx, &mut self.buffer, pool))?;
            self.source_ended = count == 0;
        }
    }
}
