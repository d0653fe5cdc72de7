//! Moves a body from one connection to another, at the pace of the slower one.
//!
//! There is never more of it in memory than one read buffer and its re-framed copy; nothing is read
//! before what was read is written. Large pieces that need no new framing are not copied at all.

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    buffer::{Buffers, Lease},
    http::body::{self, Reader, Writer},
    wait::{self, Limit},
};

/// From so many bytes on, a body that needs no new framing is sent from where it was read to.
pub(crate) const DIRECT: usize = 8 << 10;

/// A body on its way.
pub(crate) struct Relay<'a, R, W> {
    pub(crate) reader: &'a mut Reader,
    /// Bytes from the source that have not been looked at; also what is left behind the body.
    pub(crate) input: &'a mut Option<Lease>,
    pub(crate) source: &'a mut R,
    pub(crate) source_limit: Limit<'a>,
    pub(crate) writer: Writer,
    /// Bytes for the sink; may have a head in it already.
    pub(crate) output: &'a mut Vec<u8>,
    pub(crate) sink: &'a mut W,
    pub(crate) sink_limit: Limit<'a>,
    pub(crate) pool: &'a Rc<Buffers>,
}

/// Which side broke the transfer.
#[derive(Debug)]
pub(crate) enum Fault {
    Source(wait::Fault),
    Sink(wait::Fault),
    Body(body::Error),
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Relay<'_, R, W> {
    /// Moves everything up to the end of the body; calls `progress` after every write.
    pub(crate) async fn run(self, progress: impl Fn()) -> Result<(), Fault> {
        let Self { reader, input, source, source_limit, writer, output, sink, sink_limit, pool } = self;
        let mut ended = false;
        loop {
            let mut direct = 0;
            if let Some(buffer) = input {
                if writer == Writer::Plain && buffer.len() >= DIRECT {
                    direct = reader.claim(buffer.len()).map_err(Fault::Body)?.unwrap_or_default();
                }
                if direct == 0 {
                    reader.take(buffer, |data| writer.write(data, output)).map_err(Fault::Body)?;
                }
            }
            let done = ended || reader.is_done();
            if done {
                writer.finish(reader.trailers(), output);
            }
            if direct > 0 || !output.is_empty() {
                let body = input.as_ref().map_or(&[][..], |buffer| &buffer.unread()[..direct]);
                sink_limit.write_each(sink, [output, body]).await.map_err(Fault::Sink)?;
                output.clear();
                if let Some(buffer) = input {
                    buffer.consume(direct);
                }
                progress();
            }
            if done {
                break;
            }
            if source_limit.read(source, input, pool).await.map_err(Fault::Source)? == 0 {
                reader.close().map_err(Fault::Body)?;
                ended = true;
            }
        }
        if input.as_ref().is_some_and(|buffer| buffer.is_empty()) {
            *input = None;
        }
        Ok(())
    }
}
