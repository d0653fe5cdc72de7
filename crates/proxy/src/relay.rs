//! Moves a body from one connection to another, at the pace of the slower one.
//!
//! There is never more of it in memory than one read buffer and its re-framed copy; nothing is read
//! before what was read is written.

use std::rc::Rc;

use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::{
    buffer::{Buffers, Lease},
    http::body::{self, Reader, Writer},
    wait::{self, Limit},
};

/// A body on its way.
pub(crate) struct Relay<'a, 'r, 'w> {
    pub(crate) reader: &'a mut Reader,
    /// Bytes from the source that have not been looked at; also what is left behind the body.
    pub(crate) input: &'a mut Option<Lease>,
    pub(crate) source: &'a mut ReadHalf<'r>,
    pub(crate) source_limit: Limit<'a>,
    pub(crate) writer: Writer,
    /// Bytes for the sink; may have a head in it already.
    pub(crate) output: &'a mut Vec<u8>,
    pub(crate) sink: &'a mut WriteHalf<'w>,
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

impl Relay<'_, '_, '_> {
    /// Moves everything up to the end of the body; calls `progress` after every write.
    pub(crate) async fn run(self, progress: impl Fn()) -> Result<(), Fault> {
        let Self { reader, input, source, source_limit, writer, output, sink, sink_limit, pool } = self;
        let mut ended = false;
        loop {
            if let Some(buffer) = input {
                reader.take(buffer, |data| writer.write(data, output)).map_err(Fault::Body)?;
            }
            let done = ended || reader.is_done();
            if done {
                writer.finish(reader.trailers(), output);
            }
            if !output.is_empty() {
                sink_limit.write(sink, output).await.map_err(Fault::Sink)?;
                output.clear();
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
