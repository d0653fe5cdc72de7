//! Takes the answer of an upstream and passes it to the client.

use std::time::Instant;

use crate::{
    answer::{self, Length, write_field, write_status_line},
    buffer::Lease,
    deadline::Deadline,
    error::Error,
    exchange::Exchange,
    filter,
    http::{
        body::{self, Framing, Reader, Writer},
        fields::Kind,
    },
    link::LinkSource,
    peer::Sink,
    plugin::Plugin,
    relay::{self, Relay},
    site::{Route, Site},
    spans::Spans,
    wait::{Fault, Limit},
    worker::Worker,
};

/// Interim answers (1xx) that an upstream may send before the real one.
const INTERIM_LIMIT: usize = 16;

pub(crate) struct Receiver<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) site: &'a Site,
    pub(crate) route: &'a Route,
    pub(crate) exchange: &'a mut Exchange,
    pub(crate) output: &'a mut Vec<u8>,
    pub(crate) deadline: &'a Deadline,
    pub(crate) client: Sink<'a>,
    pub(crate) spans: Spans,
}

/// How an answer ended.
#[derive(Debug)]
pub(crate) enum Received {
    Complete {
        /// The upstream connection is ready for another request.
        reusable: bool,
    },
    /// The upstream switches protocols; with what it sent behind its answer.
    Upgraded(Option<Lease>),
}

impl Receiver<'_> {
    pub(crate) async fn receive(&mut self, upstream: &mut LinkSource<'_>) -> Result<Received, Error> {
        // What Lua has set in earlier phases goes over what the upstream says.
        let early: Vec<_> = self.early_fields();
        let mut input = None;
        self.read_head(upstream, &mut input).await?;
        for (name, value) in &early {
            self.exchange.response.fields.remove(name);
            self.exchange.response.fields.push(name, value);
        }
        self.exchange.upstream.status = self.exchange.response.status;
        if self.exchange.response.status == 101 {
            return self.switch(input).await;
        }
        if self.exchange.response.fields.contains(Kind::Connection) {
            self.exchange.response.fields.remove_nominated();
        }
        self.relay_body(upstream, input).await
    }

    fn early_fields(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.exchange.response.fields.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    /// Reads heads until one is final.
    async fn read_head(
        &mut self,
        upstream: &mut LinkSource<'_>,
        input: &mut Option<Lease>,
    ) -> Result<(), Error> {
        let to_head = self.exchange.request.method() == b"HEAD";
        let (mut seen, mut interim, mut begun) = (0, 0, false);
        loop {
            if let Some(buffer) = input {
                let limits = &self.site.snapshot.limits;
                let read = self.exchange.response.read(buffer.unread(), seen, to_head, limits);
                match read.map_err(|error| Error::BadAnswer(error.to_string()))? {
                    None => seen = buffer.len(),
                    Some(size) => {
                        buffer.consume(size);
                        if buffer.is_empty() {
                            *input = None;
                        }
                        if !self.exchange.response.is_interim() {
                            return Ok(());
                        }
                        interim += 1;
                        if interim > INTERIM_LIMIT {
                            return Err(Error::BadAnswer("too many interim answers".into()));
                        }
                        self.pass_interim().await?;
                        seen = 0;
                        continue;
                    }
                }
            }
            let span = if begun { self.spans.idle } else { self.spans.first_byte };
            let limit = Limit { deadline: self.deadline, span };
            match limit.read(upstream, input, &self.worker.buffers).await {
                Ok(0) | Err(Fault::Io(_)) if begun => return Err(Error::BadAnswer("head is cut off".into())),
                Ok(0) | Err(Fault::Io(_)) => return Err(Error::NoAnswer),
                Err(Fault::Timeout) => return Err(Error::AnswerTimeout),
                Ok(_) if !begun => {
                    begun = true;
                    let now = Instant::now();
                    self.exchange.upstream.first_byte = Some(now);
                    self.worker.set_lua_clock(&self.site.vm, now);
                }
                Ok(_) => {}
            }
        }
    }

    /// Early hints and the like; `100 Continue` has been said by the gateway itself.
    async fn pass_interim(&mut self) -> Result<(), Error> {
        if self.exchange.response.status == 100 || !self.exchange.request.is_11 {
            return Ok(());
        }
        write_status_line(self.exchange.response.status, self.output);
        for (kind, name, value) in self.exchange.response.fields.iter() {
            if !kind.is_hop_by_hop() && kind != Kind::ContentLength {
                write_field(name, value, self.output);
            }
        }
        self.output.extend_from_slice(b"\r\n");
        self.flush().await
    }

    async fn switch(&mut self, input: Option<Lease>) -> Result<Received, Error> {
        if !self.exchange.request.upgrade {
            return Err(Error::BadAnswer("switches protocols without being asked".into()));
        }
        write_status_line(101, self.output);
        for (kind, name, value) in self.exchange.response.fields.iter() {
            if !kind.is_hop_by_hop() && kind != Kind::ContentLength || kind == Kind::Upgrade {
                write_field(name, value, self.output);
            }
        }
        self.output.extend_from_slice(b"Connection: Upgrade\r\n\r\n");
        self.exchange.headers_sent = true;
        self.flush().await?;
        Ok(Received::Upgraded(input))
    }

    async fn relay_body(
        &mut self,
        upstream: &mut LinkSource<'_>,
        mut input: Option<Lease>,
    ) -> Result<Received, Error> {
        let framing = self.exchange.response.framing;
        // As long as nothing has been sent, the client can still be told.
        let begun = input.as_ref().map_or(&[][..], |buffer| buffer.unread());
        body::check(framing, begun).map_err(|error| Error::BadAnswer(error.to_string()))?;
        let mut reader = Reader::new(framing, u64::MAX);
        let length = match framing {
            _ if self.exchange.filtered && framing != Framing::None => Length::Unknown,
            Framing::None => Length::Known(0),
            Framing::Length(length) => Length::Known(length),
            Framing::Chunked | Framing::UntilClose => Length::Unknown,
        };
        let writer = answer::begin(self.worker, Some(self.route), self.exchange, length, self.output).await?;
        if !answer::has_body(self.exchange) {
            self.flush().await?;
            // A body that a filter has made void is left behind, and the connection with it.
            let clean = reader.is_done() && input.is_none();
            return Ok(Received::Complete { reusable: clean && self.exchange.response.keep_alive });
        }
        if let Some(filter) = &self.route.body_filter {
            return self.relay_filtered(upstream, input, reader, writer, filter).await;
        }
        let relay = Relay {
            reader: &mut reader,
            input: &mut input,
            source: upstream,
            source_limit: Limit { deadline: self.deadline, span: self.spans.idle },
            writer,
            output: self.output,
            sink: &mut self.client,
            sink_limit: Limit { deadline: self.deadline, span: self.site.snapshot.timeouts.send },
            pool: &self.worker.buffers,
        };
        let outcome = relay.run(|| ()).await;
        self.exchange.bytes_out = reader.received();
        outcome.map_err(|fault| match fault {
            relay::Fault::Source(Fault::Timeout) => Error::UpstreamStalled,
            relay::Fault::Source(Fault::Io(_)) => Error::BadAnswer(body::Error::Truncated.to_string()),
            relay::Fault::Body(error) => Error::BadAnswer(error.to_string()),
            relay::Fault::Sink(fault) => Error::client(&fault),
        })?;
        Ok(Received::Complete { reusable: self.exchange.response.keep_alive && input.is_none() })
    }

    /// The same with a body filter: what has come is a piece, and the next is read when that has been sent.
    async fn relay_filtered(
        &mut self,
        upstream: &mut LinkSource<'_>,
        mut input: Option<Lease>,
        mut reader: Reader,
        writer: Writer,
        filter: &Plugin,
    ) -> Result<Received, Error> {
        let limit = Limit { deadline: self.deadline, span: self.spans.idle };
        let (mut behind, mut ended) = (Vec::new(), false);
        while !self.exchange.body_ended {
            let piece = &mut self.exchange.lua.arguments.piece;
            piece.clear();
            if let Some(buffer) = &mut input {
                let taken = reader.take(buffer, |data| piece.extend_from_slice(data));
                taken.map_err(|error| Error::BadAnswer(error.to_string()))?;
                if buffer.is_empty() {
                    input = None;
                }
            }
            ended |= reader.is_done();
            if ended || !piece.is_empty() {
                filter::pass(self.worker, self.route, filter, self.exchange, ended).await?;
            }
            let length = self.exchange.lua.arguments.piece.len();
            self.exchange.bytes_out += length as u64;
            behind.clear();
            if length > 0 {
                writer.begin(length, self.output);
                writer.end(&mut behind);
            }
            if self.exchange.body_ended {
                writer.finish(reader.trailers(), &mut behind);
            }
            self.send_piece(&behind).await?;
            if !ended && !self.exchange.body_ended {
                match limit.read(upstream, &mut input, &self.worker.buffers).await {
                    Ok(0) => {
                        reader.close().map_err(|error| Error::BadAnswer(error.to_string()))?;
                        ended = true;
                    }
                    Ok(_) => {}
                    Err(Fault::Timeout) => return Err(Error::UpstreamStalled),
                    Err(Fault::Io(_)) => return Err(Error::BadAnswer(body::Error::Truncated.to_string())),
                }
            }
        }
        let clean = reader.is_done() && input.is_none();
        Ok(Received::Complete { reusable: clean && self.exchange.response.keep_alive })
    }

    /// Sends the piece that the filter has passed on, with what stands before it in the output and what is `behind` it.
    async fn send_piece(&mut self, behind: &[u8]) -> Result<(), Error> {
        let piece = &self.exchange.lua.arguments.piece;
        if piece.len() < relay::DIRECT {
            self.output.extend_from_slice(piece);
            self.output.extend_from_slice(behind);
            return self.flush().await;
        }
        let limit = Limit { deadline: self.deadline, span: self.site.snapshot.timeouts.send };
        let sent = limit.write_each(&mut self.client, [self.output, piece, behind]).await;
        sent.map_err(|fault| Error::client(&fault))?;
        self.output.clear();
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let limit = Limit { deadline: self.deadline, span: self.site.snapshot.timeouts.send };
        limit.write(&mut self.client, self.output).await.map_err(|fault| Error::client(&fault))?;
        self.output.clear();
        Ok(())
    }
}
