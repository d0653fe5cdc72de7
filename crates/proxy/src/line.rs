//! The client's side of an exchange: its connection, what came from it, what is to go to it.

use std::{
    cell::Cell, future::poll_fn, net::SocketAddr, os::fd::AsFd as _, rc::Rc, sync::Arc, task::Poll,
    time::Duration,
};

use crate::{
    answer::{self, Length},
    berth::Mooring,
    buffer::Lease,
    conditional,
    deadline::Deadline,
    error::Error,
    exchange::Exchange,
    filter,
    http::{
        body::{self, Framing, Reader, Writer},
        fields::Kind,
        request::Request,
    },
    peer::{Client, Peer},
    plugin::Plugin,
    request_body::{Body, Intake},
    site::{Route, Site},
    wait::{Fault, Limit, poll_read},
    worker::Worker,
};
use tidegate_core::snapshot::{Limits, Timeouts};
use tidegate_lua::{AnswerEnd, Exchange as _, Lent, Reply};

/// Bytes of an unwanted request body that are read and thrown away to keep a connection.
const DISCARD_LIMIT: u64 = 256 << 10;

/// Memory that a connection keeps for its next exchange.
const KEPT: usize = 64 << 10;

/// How long a closing connection is read from, so that the client gets to see the answer.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) worker: Rc<Worker>,
    pub(crate) stream: Peer,
    /// Bytes from the client that have not been used; `None` rather than empty while idle.
    pub(crate) input: Option<Lease>,
    /// Bytes for the upstream: the head, and what came of the body with it.
    pub(crate) upload: Vec<u8>,
    /// Bytes for the client.
    pub(crate) output: Vec<u8>,
    /// Finds the end of the request body.
    pub(crate) reader: Reader,
    /// For whatever the exchange waits for…
    pub(crate) front: Deadline,
    /// …and for an upload that goes on at the same time.
    pub(crate) back: Deadline,
    /// The client waits for `100 Continue`.
    awaits_continue: bool,
    /// What Lua has still to receive of the body it reads by itself, and how much that was when last looked at.
    lent: Option<(Rc<Cell<u64>>, u64)>,
    /// What has been read of a body that Lua waits for. Whoever reads may be given up and begin again.
    intake: Option<Intake>,
    /// How Lua's answer is written, once it has been begun.
    lua_writer: Option<Writer>,
    /// Where the connection waits for a request, once it has had to.
    mooring: Option<Mooring>,
}

impl Line {
    pub(crate) fn new(worker: Rc<Worker>, stream: Peer) -> Self {
        Self {
            input: None,
            upload: Vec::new(),
            output: Vec::new(),
            reader: Reader::new(Framing::None, 0),
            front: worker.deadlines.deadline(),
            back: worker.deadlines.deadline(),
            awaits_continue: false,
            lent: None,
            intake: None,
            lua_writer: None,
            mooring: None,
            worker,
            stream,
        }
    }

    /// Where it will wait for requests.
    pub(crate) fn moor_at(&mut self, mooring: Mooring) {
        self.mooring = Some(mooring);
    }

    /// The head of `request` has been read; its body follows.
    pub(crate) fn begin(&mut self, request: &Request, limits: &Limits) {
        self.reader = Reader::new(request.framing, limits.body_bytes);
        self.awaits_continue = request.expects_continue;
        self.lent = None;
        self.intake = None;
        self.lua_writer = None;
    }

    /// Gives back memory that only this exchange needed.
    pub(crate) fn end(&mut self) {
        for block in [&mut self.upload, &mut self.output] {
            block.clear();
            block.shrink_to(KEPT);
        }
    }

    /// Goes on from what has been received of the client before there was this.
    pub(crate) fn give_back(&mut self, received: &[u8]) {
        if !received.is_empty() {
            let mut input = self.worker.buffers.take();
            input.extend(received);
            self.input = Some(input);
        }
    }

    /// Reads under a deadline that has been armed before; 0 is the end.
    pub(crate) async fn read_armed(&mut self) -> Result<usize, Fault> {
        let Self { stream, input, worker, front, .. } = self;
        let (Some(mut source), _) = stream.split() else { return Ok(0) };
        poll_fn(|cx| {
            if let Poll::Ready(read) = poll_read(&mut source, cx, input, &worker.buffers) {
                return Poll::Ready(read.map_err(Fault::Io));
            }
            front.poll(cx).map(|()| Err(Fault::Timeout))
        })
        .await
    }

    /// As [`read_armed`](Self::read_armed), where no request has begun. `None`: the connection, which has carried `count`
    /// requests, has been taken away meanwhile.
    pub(crate) async fn read_idle(
        &mut self,
        (client, number): (SocketAddr, u64),
        count: u64,
    ) -> Option<Result<usize, Fault>> {
        let Self { stream: peer, input, worker, front, mooring, .. } = self;
        let mut waits = false;
        poll_fn(|cx| {
            if std::mem::take(&mut waits) {
                match mooring.as_ref().and_then(Mooring::take) {
                    Some(client) => *peer = Peer::Client(client),
                    None => return Poll::Ready(None),
                }
            }
            let (Some(mut source), _) = peer.split() else { return Poll::Ready(Some(Ok(0))) };
            if let Poll::Ready(read) = poll_read(&mut source, cx, input, &worker.buffers) {
                return Poll::Ready(Some(read.map_err(Fault::Io)));
            }
            if front.poll(cx).is_ready() {
                return Poll::Ready(Some(Err(Fault::Timeout)));
            }
            if let Some(connection) = peer.take_client() {
                let mooring = mooring.get_or_insert_with(|| worker.berths.book(client, number));
                mooring.put(connection, count, cx.waker());
                waits = true;
            }
            Poll::Pending
        })
        .await
    }

    async fn read(&mut self, span: Duration) -> Result<usize, Fault> {
        self.front.arm(span);
        self.read_armed().await
    }

    /// An idle connection holds no buffer.
    pub(crate) fn release_input(&mut self) {
        if self.input.as_ref().is_some_and(|buffer| buffer.is_empty()) {
            self.input = None;
        }
    }

    /// Sends what is in `output`.
    pub(crate) async fn flush(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        if self.output.is_empty() {
            return Ok(());
        }
        // Nearly always there is room for all of it.
        let written = self.stream.try_write(&self.output);
        let written = written.map_err(|error| Error::client(&Fault::Io(error)))?;
        if written < self.output.len() {
            self.flush_rest(written, timeouts).await?;
        }
        self.output.clear();
        Ok(())
    }

    /// Sends what is in `output` after the first `written` bytes.
    async fn flush_rest(&mut self, written: usize, timeouts: &Timeouts) -> Result<(), Error> {
        let limit = Limit { deadline: &self.front, span: timeouts.send };
        let (_, mut sink) = self.stream.split();
        limit.write(&mut sink, &self.output[written..]).await.map_err(|fault| Error::client(&fault))
    }

    /// Asks for the body, if the client waits to be asked.
    pub(crate) async fn send_continue(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        if std::mem::take(&mut self.awaits_continue) {
            let limit = Limit { deadline: &self.front, span: timeouts.send };
            let (_, mut sink) = self.stream.split();
            limit
                .write(&mut sink, b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .map_err(|fault| Error::client(&fault))?;
        }
        Ok(())
    }

    /// Reads the whole body for Lua.
    pub(crate) async fn read_body(&mut self, exchange: &mut Exchange, site: &Site) -> Result<Reply, Error> {
        if exchange.body.is_some() || exchange.is_discarded {
            return Ok(Reply::Done);
        }
        let limits = &site.snapshot.limits;
        let most = limits.lua_body_bytes as u64;
        if matches!(exchange.request.framing, Framing::Length(length) if length > most) {
            return Err(Error::RequestBody(body::Error::TooLarge));
        }
        self.send_continue(&site.snapshot.timeouts).await?;
        self.intake.get_or_insert_with(|| Intake::new(limits.client_body_buffer));
        while let Some(intake) = &mut self.intake {
            if let Some(buffer) = &mut self.input {
                self.reader.take(buffer, |data| intake.take(data)).map_err(Error::RequestBody)?;
            }
            if intake.len() > most {
                return Err(Error::RequestBody(body::Error::TooLarge));
            }
            intake.settle().await.map_err(Error::Spool)?;
            self.release_input();
            if self.reader.is_done() {
                break;
            }
            if self.read(site.snapshot.timeouts.body_idle).await.map_err(|fault| Error::client(&fault))? == 0
            {
                return Err(Error::RequestBody(body::Error::Truncated));
            }
        }
        if let Some(intake) = &mut self.intake {
            let body = intake.finish().await.map_err(Error::Spool)?;
            exchange.body = Some(self.worker.kept(body));
        }
        self.intake = None;
        Ok(Reply::Done)
    }

    /// Lends the client's connection to Lua: for the body, which is not read here any more, or whole.
    pub(crate) async fn lend(
        &mut self,
        exchange: &mut Exchange,
        site: &Site,
        raw: bool,
    ) -> Result<Reply, Error> {
        let refusal = if raw {
            match exchange.answer_end() {
                AnswerEnd::Raw => Some("duplicate call"),
                // Nothing is held back before something is written.
                _ if exchange.is_buffering() && !exchange.written.is_empty() => Some("http 1.0 buffering"),
                _ => None,
            }
        } else {
            match exchange.request.framing {
                Framing::Chunked => Some("chunked request bodies not supported yet"),
                _ if exchange.body.is_some() => Some("request body already exists"),
                _ if exchange.is_discarded => Some("request body discarded"),
                Framing::Length(1..) => None,
                _ => Some("no body"),
            }
        };
        if let Some(refusal) = refusal {
            return Ok(Reply::Failed(refusal.into()));
        }
        if !raw {
            self.send_continue(&site.snapshot.timeouts).await?;
        }
        let Peer::Client(client) = &self.stream else { return Ok(Reply::Failed("no client".into())) };
        let tls = match client {
            Client::Plain(_) => None,
            Client::Secure(secure) => {
                if raw {
                    // A script may give any amount at once, as it may without TLS.
                    secure.session.tls().set_buffer_limit(None);
                }
                Some(Arc::clone(&secure.session.tls))
            }
        };
        let handle = client.stream().as_fd().try_clone_to_owned();
        let Ok(handle) = handle else { return Ok(Reply::Failed("no memory".into())) };
        let (mut received, mut left) = (Vec::new(), None);
        if raw {
            received = self.input.take().map_or_else(Vec::new, |buffer| buffer.unread().to_vec());
            exchange.request.keep_alive = false;
            exchange.is_raw = true;
            exchange.headers_sent = true;
        } else {
            if let Some(buffer) = &mut self.input {
                let taken = self.reader.take(buffer, |data| received.extend_from_slice(data));
                taken.map_err(Error::RequestBody)?;
                self.release_input();
            }
            let rest = self.reader.left();
            let counter = Rc::new(Cell::new(rest));
            self.lent = Some((Rc::clone(&counter), rest));
            left = Some(counter);
        }
        if exchange.body.is_none() {
            exchange.body = Some(Body::Memory(Vec::new()));
        }
        exchange.lua.lent = Some(Lent { stream: handle, received, left, tls });
        Ok(Reply::Done)
    }

    /// Counts what Lua has received of the body meanwhile.
    fn reclaim(&mut self) {
        if let Some((counter, seen)) = &mut self.lent {
            let taken = *seen - counter.get();
            *seen = counter.get();
            // Never more than is left of it, so nothing is over a limit that was not before.
            let _ = self.reader.claim(usize::try_from(taken).unwrap_or(usize::MAX));
        }
    }

    /// Sends the head of the answer.
    pub(crate) async fn send_head(
        &mut self,
        exchange: &mut Exchange,
        site: &Site,
        route: &Route,
    ) -> Result<Reply, Error> {
        if self.lua_writer.is_none() {
            self.begin_lua(exchange, route).await?;
            self.flush(&site.snapshot.timeouts).await?;
        }
        Ok(Reply::Done)
    }

    /// Sends what Lua has written so far, before it goes on writing.
    pub(crate) async fn flush_lua(
        &mut self,
        exchange: &mut Exchange,
        site: &Site,
        route: &Route,
    ) -> Result<Reply, Error> {
        if exchange.is_ended {
            return Ok(Reply::Done);
        }
        let writer = match self.lua_writer {
            Some(writer) => writer,
            None => self.begin_lua(exchange, route).await?,
        };
        self.filter_written(exchange, route, false).await?;
        self.move_written(exchange, writer);
        self.flush(&site.snapshot.timeouts).await?;
        Ok(Reply::Done)
    }

    /// Takes over what Lua has written, unless the answer has no body.
    fn move_written(&mut self, exchange: &mut Exchange, writer: Writer) {
        if answer::has_body(exchange) && !exchange.written.is_empty() {
            let mut from = 0;
            for end in exchange.ends.drain(..) {
                // An empty chunk would be the end of the body.
                if from < end && end < exchange.written.len() {
                    writer.write(&exchange.written[from..end], &mut self.output);
                    from = end;
                }
            }
            writer.write(&exchange.written[from..], &mut self.output);
            exchange.bytes_out += exchange.written.len() as u64;
        }
        exchange.written.clear();
        exchange.ends.clear();
    }

    /// Sends the rest of what Lua has written, and sees to it that the next request can be read.
    pub(crate) async fn finish_lua(
        &mut self,
        exchange: &mut Exchange,
        site: &Site,
        route: &Route,
    ) -> Result<(), Error> {
        if exchange.is_raw {
            return Ok(());
        }
        if !exchange.is_ended {
            self.end_lua(exchange, site, route).await?;
        }
        self.discard_body(exchange, &site.snapshot.timeouts).await;
        Ok(())
    }

    /// Sends the rest of what Lua has written; there will be no more.
    pub(crate) async fn end_lua(
        &mut self,
        exchange: &mut Exchange,
        site: &Site,
        route: &Route,
    ) -> Result<(), Error> {
        let writer = match self.lua_writer {
            Some(writer) => writer,
            None => self.begin_whole(exchange, route).await?,
        };
        if !exchange.body_ended {
            self.filter_written(exchange, route, true).await?;
        }
        self.move_written(exchange, writer);
        if answer::has_body(exchange) {
            writer.finish(None, &mut self.output);
        }
        exchange.is_ended = true;
        self.flush(&site.snapshot.timeouts).await
    }

    /// Lets the body filter at what has been written.
    async fn filter_written(
        &mut self,
        exchange: &mut Exchange,
        route: &Route,
        last: bool,
    ) -> Result<(), Error> {
        match &route.body_filter {
            Some(filter) if answer::has_body(exchange) => {
                filter::written(&self.worker, route, filter, exchange, last).await
            }
            _ => Ok(()),
        }
    }

    /// Begins an answer of which more will come.
    async fn begin_lua(&mut self, exchange: &mut Exchange, route: &Route) -> Result<Writer, Error> {
        self.complete_head(exchange, true)?;
        let length = Length::Unknown;
        let writer = answer::begin(&self.worker, Some(route), exchange, length, &mut self.output).await?;
        self.lua_writer = Some(writer);
        Ok(writer)
    }

    /// Begins an answer that has been written to its end, so its length is known, whatever a filter makes of it.
    async fn begin_whole(&mut self, exchange: &mut Exchange, route: &Route) -> Result<Writer, Error> {
        self.complete_head(exchange, !exchange.written.is_empty())?;
        exchange.whole = Some(exchange.written.len() as u64);
        answer::filter_head(&self.worker, Some(route), exchange).await?;
        self.filter_written(exchange, route, true).await?;
        let known = Length::Known(exchange.written.len() as u64);
        let in_chunks = exchange.is_framed_as_nginx()
            && exchange.request.is_11
            && !exchange.response.fields.contains(Kind::ContentLength);
        let length = if exchange.length_is_hidden || in_chunks { Length::Unknown } else { known };
        let writer = answer::write_head(&self.worker, exchange, length, &mut self.output);
        self.lua_writer = Some(writer);
        Ok(writer)
    }

    fn complete_head(&mut self, exchange: &mut Exchange, with_body: bool) -> Result<(), Error> {
        if exchange.response.status == 0 {
            exchange.response.status = 200;
        }
        let fields = &mut exchange.response.fields;
        if let Some(site) = exchange.site.as_ref().filter(|_| exchange.depth == 0) {
            answer::sign(fields, &site.snapshot.answers);
        }
        if with_body || exchange.depth > 0 {
            exchange.complete_type();
        }
        match conditional::judge(exchange) {
            conditional::Outcome::Proceed => {}
            conditional::Outcome::Failed => return Err(Error::Replaced(412)),
            conditional::Outcome::NotModified => {
                exchange.response.status = 304;
                for name in [&b"content-type"[..], b"content-length", b"content-encoding"] {
                    exchange.response.fields.remove(name);
                }
            }
        }
        self.settle_body(exchange);
        Ok(())
    }

    /// Sends an error report of the gateway.
    pub(crate) async fn send_report(
        &mut self,
        exchange: &mut Exchange,
        site: &Site,
        route: Option<&Route>,
        code: u16,
        message: &str,
    ) -> Result<(), Error> {
        self.output.clear();
        self.settle_body(exchange);
        if exchange.depth > 0 {
            return self.send_status(exchange, route, code).await;
        }
        let mut report = answer::report(exchange, code, message, &site.snapshot.answers);
        answer::filter_head(&self.worker, route, exchange).await?;
        if answer::has_body(exchange)
            && let Some((route, filter)) = route.and_then(|route| Some((route, route.body_filter.as_ref()?)))
        {
            report = self.filter_report(exchange, route, filter, report).await?;
        }
        let length = Length::Known(report.len() as u64);
        answer::write_head(&self.worker, exchange, length, &mut self.output);
        if answer::has_body(exchange) {
            self.output.extend_from_slice(&report);
            exchange.bytes_out = report.len() as u64;
        }
        self.flush(&site.snapshot.timeouts).await?;
        self.discard_body(exchange, &site.snapshot.timeouts).await;
        Ok(())
    }

    /// Lets the body filter at a report, which stays as it is if the filter has seen an end already or fails.
    async fn filter_report(
        &self,
        exchange: &mut Exchange,
        route: &Route,
        filter: &Plugin,
        report: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        if exchange.body_ended {
            return Ok(report);
        }
        report.clone_into(&mut exchange.lua.arguments.piece);
        match filter::pass(&self.worker, route, filter, exchange, true).await {
            Ok(()) => Ok(std::mem::take(&mut exchange.lua.arguments.piece)),
            Err(Error::Lua) => Ok(report),
            Err(error) => Err(error),
        }
    }

    /// What a report is to Lua: a status and no body.
    async fn send_status(
        &mut self,
        exchange: &mut Exchange,
        route: Option<&Route>,
        code: u16,
    ) -> Result<(), Error> {
        exchange.response.status = code;
        let fields = &mut exchange.response.fields;
        fields.remove_kind(Kind::ContentType);
        fields.remove_kind(Kind::ContentLength);
        fields.push(b"Content-Length", b"0");
        answer::filter_head(&self.worker, route, exchange).await
    }

    /// The answer does not need the rest of the request body: if that is more than a little, or the
    /// client has not begun to send it, the connection is given up rather than read on.
    fn settle_body(&mut self, exchange: &mut Exchange) {
        if self.lent.is_some() {
            return; // Lua is at it.
        }
        if let Some(buffer) = &mut self.input
            && self.reader.take(buffer, |_| ()).is_err()
        {
            exchange.request.keep_alive = false;
        }
        self.release_input();
        let large = matches!(exchange.request.framing, Framing::Length(length) if length > DISCARD_LIMIT);
        if !self.reader.is_done() && (large || self.awaits_continue) {
            exchange.request.keep_alive = false;
        }
    }

    /// Reads what is left of the body, so that the next request can follow.
    async fn discard_body(&mut self, exchange: &mut Exchange, timeouts: &Timeouts) {
        self.reclaim();
        while exchange.request.keep_alive && !self.reader.is_done() {
            let more = self.read(timeouts.body_idle).await;
            let taken = self.input.as_mut().map_or(Ok(()), |buffer| self.reader.take(buffer, |_| ()));
            self.release_input();
            let in_order =
                matches!(more, Ok(1..)) && taken.is_ok() && self.reader.received() <= DISCARD_LIMIT;
            exchange.request.keep_alive = in_order;
        }
    }

    /// Closes the connection such that the client still gets to read the answer: one that is closed
    /// with unread bytes is reset, and a reset may overtake what was sent.
    pub(crate) async fn linger(mut self) {
        if self.reader.is_done() && self.input.is_none() {
            return;
        }
        if self.stream.shutdown().await.is_err() {
            return;
        }
        self.front.arm(LINGER);
        let mut discarded = 0;
        while discarded <= DISCARD_LIMIT {
            if let Some(buffer) = &mut self.input {
                buffer.clear();
            }
            match self.read_armed().await {
                Ok(0) | Err(_) => return,
                Ok(count) => discarded += count as u64,
            }
        }
    }
}
