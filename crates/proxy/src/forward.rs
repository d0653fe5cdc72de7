//! Passes a request on to an endpoint, and its answer back.
//!
//! The request head and what is already there of the body are written once into a block; as long as
//! nothing beyond that block has been taken from the client, the same block can be sent to another
//! endpoint. A body that is not complete by then is uploaded in the background while the answer is
//! awaited, since an upstream may answer before it has read everything.
//!
//! Invariant: a request is sent again only if the upstream cannot have seen it, or if its method is
//! one that may be repeated and not one byte of an answer has come.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Instant,
};

use tidegate_core::roster::InFlight;
use tokio::io::AsyncWrite;

use crate::{
    answer::{write_field, write_length},
    balancer,
    buffer::Lease,
    connection::Connection,
    error::{Error, Retry},
    exchange::{Attempt, Exchange},
    http::{
        body::{Framing, Writer},
        fields::Kind,
        request::Request,
    },
    line::Line,
    link::{Link, LinkSink},
    peer::Source,
    place::{enter, pick},
    receive::{Received, Receiver},
    relay::{self, Relay},
    request_body::{Body, Pieces},
    site::{Route, Site},
    spans::Spans,
    upstream::{Kept, Member, Upstream},
    wait::{Fault, Limit},
};

/// What became of a forwarded request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered,
    Upgraded(Upgraded),
}

/// An upstream that switched protocols.
#[derive(Debug)]
pub(crate) struct Upgraded {
    pub(crate) link: Link,
    /// What it sent behind its answer.
    pub(crate) sent: Option<Lease>,
    /// The endpoint is busy with it for as long as the tunnel lasts, so nobody drains it meanwhile.
    pub(crate) in_flight: InFlight,
}

/// Sends the request of `connection` to `upstream`, trying other endpoints as long as that is safe.
pub(crate) async fn forward(
    connection: &mut Connection,
    site: &Site,
    route: &Route,
    upstream: &Upstream,
) -> Result<Outcome, Error> {
    let worker = Rc::clone(&connection.line.worker);
    let shard = upstream.series.shard(worker.index);
    shard.arrive();
    upstream.deposit();
    let began = Instant::now();
    let outcome = try_all(connection, site, route, upstream).await;
    connection.exchange.upstream.ended = Some(Instant::now());
    let status = match &outcome {
        Ok(_) => connection.exchange.upstream.status,
        Err(Error::NoInstance | Error::QueueFull) => {
            shard.shed();
            route.series.shard(worker.index).shed();
            connection.exchange.retry_after = upstream.series.retry_after.seconds();
            503
        }
        // The client's own doing is no failure of the upstream.
        Err(error) if !error.is_upstream() => 499,
        Err(_) => 0,
    };
    shard.end(status, began.elapsed());
    outcome
}

async fn try_all(
    connection: &mut Connection,
    site: &Site,
    route: &Route,
    upstream: &Upstream,
) -> Result<Outcome, Error> {
    let worker = Rc::clone(&connection.line.worker);
    let mut head = prepare(connection, site)?;
    let most_attempts = upstream.settings.borrow().retry.attempts;
    let patience = route.queue.timeout.unwrap_or(site.snapshot.timeouts.queue);
    let give_up = worker.deadlines.elapsed() + patience;
    let (mut attempts, mut tried) = (0, Vec::new());
    loop {
        let chosen = match &route.balancer {
            Some(script) => balancer::choose(connection, route, upstream, script).await?,
            None => None,
        };
        if connection.exchange.lua.choice.as_ref().is_some_and(|choice| choice.is_recreated) {
            head = prepare_again(connection, site, head)?;
        }
        let is_chosen = chosen.is_some();
        let (member, in_flight) = match chosen {
            Some(member) => {
                let in_flight = enter(connection, site, route, upstream, &member, give_up).await?;
                (member, in_flight)
            }
            None => pick(connection, site, route, upstream, &mut tried, give_up).await?,
        };
        attempts += 1;
        match attempt(connection, site, route, upstream, (&member, in_flight)).await {
            Ok(outcome) => return Ok(outcome),
            Err(failure) => {
                if failure.error.is_upstream() {
                    upstream.failed(&member);
                }
                let allowed = match failure.error.retry() {
                    Retry::Always => true,
                    Retry::IfRepeatable => connection.exchange.request.is_repeatable(),
                    Retry::Never => false,
                };
                let choice = connection.exchange.lua.choice.as_deref_mut();
                // Who chooses the peers says how many.
                let retry = allowed
                    && failure.replayable
                    && if is_chosen {
                        balancer::may_retry(choice, &failure.error)
                    } else {
                        attempts < most_attempts && upstream.may_retry()
                    };
                if failure.error.is_upstream() {
                    let exchange = &connection.exchange;
                    worker.complain(route, exchange, Some(&member.endpoint.address), &failure.error, retry);
                }
                if !retry {
                    return Err(failure.error);
                }
                upstream.series.shard(worker.index).retry();
                tried.push(member);
            }
        }
    }
}

/// An attempt that came to nothing.
struct Failure {
    error: Error,
    /// Nothing was taken from the client beyond what can be sent again.
    replayable: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, replayable: true }
    }
}

async fn attempt(
    connection: &mut Connection,
    site: &Site,
    route: &Route,
    upstream: &Upstream,
    (member, in_flight): (&Rc<Member>, InFlight),
) -> Result<Outcome, Failure> {
    let spans = Spans::new(&site.snapshot.timeouts, connection.exchange.lua.choice.as_deref());
    connection.exchange.upstream = Attempt {
        address: Some(member.endpoint.address.clone()),
        began: Some(Instant::now()),
        ..Attempt::default()
    };
    let choice = connection.exchange.lua.choice.as_deref();
    let terms = if choice.is_some_and(|choice| choice.is_plain) {
        None
    } else {
        upstream.terms(member, choice.and_then(|choice| choice.server_name.as_deref()))
    };
    let local = choice.and_then(|choice| choice.local);
    let kept = if let Some(kept) = member.reuse(terms.as_ref(), local) {
        Ok(kept)
    } else {
        let limit = Limit { deadline: &connection.line.front, span: spans.connect };
        let linked = Link::connect(&member.endpoint.address, local, terms, limit).await;
        linked.map(|link| Kept { link, local, requests: 0 })
    };
    let received = match kept {
        Ok(kept) => exchange_on(connection, kept, site, route, spans).await,
        Err(error) => Err(error.into()),
    };
    match received {
        Ok(End::Answered(kept)) => {
            if let Some(kept) = kept {
                let wish = connection.exchange.lua.choice.as_ref().and_then(|choice| choice.keep_alive);
                upstream.keep(member, kept, site.snapshot.limits.upstream_idle_connections, wish);
            }
            Ok(Outcome::Answered)
        }
        Ok(End::Upgraded(link, sent)) => Ok(Outcome::Upgraded(Upgraded { link, sent, in_flight })),
        Err(failure) => {
            if failure.error.is_upstream() {
                in_flight.fail();
            }
            Err(failure)
        }
    }
}

/// How an exchange with an endpoint ended well.
enum End {
    /// With the connection, if that can carry another request.
    Answered(Option<Kept>),
    /// The connection now speaks another protocol, with what came behind the answer.
    Upgraded(Link, Option<Lease>),
}

/// Sends the request over a connection and brings the answer back.
async fn exchange_on(
    connection: &mut Connection,
    mut kept: Kept,
    site: &Site,
    route: &Route,
    spans: Spans,
) -> Result<End, Failure> {
    let timeouts = &site.snapshot.timeouts;
    let worker = Rc::clone(&connection.line.worker);
    connection.line.send_continue(timeouts).await?;
    let Connection { line, exchange } = connection;
    let Line { stream: client, input, upload, output, reader, front, back, .. } = line;
    let (mut up_read, mut up_write) = kept.link.split();
    let (down_read, down_write) = client.split();
    let limit = Limit { deadline: front, span: spans.send };
    send_first(&mut up_write, upload, limit).await?;

    let writer = upload_writer(exchange.request.framing);
    let spool = exchange.body.as_ref().and_then(Body::pieces);
    let mut receiver = Receiver {
        worker: &worker,
        site,
        route,
        exchange,
        output,
        deadline: front,
        client: down_write,
        spans,
    };
    let replayable = reader.is_done();
    let uploaded = Cell::new(replayable && spool.is_none());
    let received = if let Some(mut pieces) = spool {
        let limit = Limit { deadline: back, span: spans.send };
        let uploading = upload_file(&mut pieces, &mut up_write, limit, &uploaded, || {
            front.arm(spans.first_byte);
        });
        beside(uploading, receiver.receive(&mut up_read)).await
    } else if replayable {
        receiver.receive(&mut up_read).await
    } else {
        upload.clear();
        let mut down_read = down_read.ok_or(Error::ClientGone)?;
        let uploading = async {
            let relay = Relay {
                reader,
                input,
                source: &mut down_read,
                source_limit: Limit { deadline: back, span: timeouts.body_idle },
                writer,
                output: upload,
                sink: &mut up_write,
                sink_limit: Limit { deadline: back, span: spans.send },
                pool: &worker.buffers,
            };
            // The answer is due once the request is complete, so each part of it moves that on.
            upload_body(relay, &uploaded, || front.arm(spans.first_byte)).await
        };
        beside(uploading, receiver.receive(&mut up_read)).await
    };
    match received {
        Ok(Received::Complete { reusable }) => {
            kept.requests += 1;
            connection.exchange.request.keep_alive &= uploaded.get();
            Ok(End::Answered((reusable && uploaded.get()).then_some(kept)))
        }
        Ok(Received::Upgraded(sent)) => Ok(End::Upgraded(kept.link, sent)),
        Err(error) => Err(Failure { error, replayable }),
    }
}

/// Sends a body that comes from the client; `uploaded` tells whether all of it.
async fn upload_body(
    relay: Relay<'_, Source<'_>, LinkSink<'_>>,
    uploaded: &Cell<bool>,
    progress: impl Fn(),
) -> Result<(), Error> {
    match relay.run(progress).await {
        Ok(()) => uploaded.set(true),
        // The upstream reads no further. It may have answered for all that.
        Err(relay::Fault::Sink(_)) => {}
        Err(relay::Fault::Source(fault)) => return Err(Error::client(&fault)),
        Err(relay::Fault::Body(error)) => return Err(Error::RequestBody(error)),
    }
    Ok(())
}

/// Sends a body that lies in a file; `uploaded` tells whether all of it.
async fn upload_file(
    pieces: &mut Pieces,
    sink: &mut LinkSink<'_>,
    limit: Limit<'_>,
    uploaded: &Cell<bool>,
    progress: impl Fn(),
) -> Result<(), Error> {
    loop {
        let piece = pieces.next().await.map_err(Error::Spool)?;
        if piece.is_empty() {
            uploaded.set(true);
            return Ok(());
        }
        // An upstream that reads no further may have answered for all that.
        if limit.write(sink, &piece).await.is_err() {
            return Ok(());
        }
        progress();
    }
}

/// Sends the block with the head. A connection that fails before it took anything was dead already.
async fn send_first(sink: &mut LinkSink<'_>, block: &[u8], limit: Limit<'_>) -> Result<(), Error> {
    let first = limit.bound(|cx| Pin::new(&mut *sink).poll_write(cx, block)).await;
    let count = match first {
        Ok(Ok(count)) => count,
        Ok(Err(_)) | Err(Fault::Io(_)) => return Err(Error::Unsent),
        Err(Fault::Timeout) => return Err(Error::UpstreamStalled),
    };
    match limit.write(sink, &block[count..]).await {
        Ok(()) => Ok(()),
        Err(Fault::Timeout) => Err(Error::UpstreamStalled),
        Err(Fault::Io(_)) => Err(Error::NoAnswer),
    }
}

/// Drives `side` beside `main` until `main` is done or `side` fails.
async fn beside<T>(
    side: impl Future<Output = Result<(), Error>>,
    main: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let (mut side, mut main) = (pin!(side), pin!(main));
    let mut beside = true;
    poll_fn(|cx| {
        if beside && let Poll::Ready(outcome) = side.as_mut().poll(cx) {
            beside = false;
            if let Err(error) = outcome {
                return Poll::Ready(Err(error));
            }
        }
        main.as_mut().poll(cx)
    })
    .await
}

const fn upload_writer(framing: Framing) -> Writer {
    match framing {
        Framing::Chunked => Writer::Chunked,
        Framing::None | Framing::Length(_) | Framing::UntilClose => Writer::Plain,
    }
}

/// Writes the head that goes upstream, and what is already there of the body. Answers the head's length.
fn prepare(connection: &mut Connection, site: &Site) -> Result<usize, Error> {
    let Connection { line, exchange } = connection;
    let Line { input, upload, reader, .. } = line;
    upload.clear();
    write_request(exchange, site.trusts(exchange.client.ip()), upload);
    let head = upload.len();
    match &exchange.body {
        Some(Body::Memory(body)) => upload.extend_from_slice(body),
        Some(Body::File(_)) | None => {}
    }
    if exchange.body.is_some() {
        return Ok(head);
    }
    let writer = upload_writer(exchange.request.framing);
    if let Some(buffer) = input {
        reader.take(buffer, |data| writer.write(data, upload)).map_err(Error::RequestBody)?;
        if buffer.is_empty() {
            *input = None;
        }
    }
    if reader.is_done() {
        writer.finish(reader.trailers(), upload);
    }
    Ok(head)
}

/// The same for a request that has been changed since, whose head was so long.
fn prepare_again(connection: &mut Connection, site: &Site, head: usize) -> Result<usize, Error> {
    let Connection { line, exchange } = connection;
    if exchange.body.is_some() {
        return prepare(connection, site);
    }
    let mut fresh = Vec::new();
    write_request(exchange, site.trusts(exchange.client.ip()), &mut fresh);
    let length = fresh.len();
    line.upload.splice(..head, fresh);
    Ok(length)
}

fn write_request(exchange: &mut Exchange, trusted: bool, output: &mut Vec<u8>) {
    let scheme = exchange.scheme();
    let Exchange { request, client_text, body, .. } = exchange;
    if request.fields.contains(Kind::Connection) {
        request.fields.remove_nominated();
    }
    output.extend_from_slice(request.method());
    output.push(b' ');
    request.write_target(output);
    output.extend_from_slice(b" HTTP/1.1\r\n");
    let mut via: &[u8] = b"";
    for (kind, name, value) in request.fields.iter() {
        match kind {
            Kind::ForwardedHost | Kind::ForwardedProto if !trusted => {}
            Kind::ForwardedFor | Kind::RequestId | Kind::ContentLength | Kind::Expect => {}
            Kind::Via => via = value,
            kind if kind.is_hop_by_hop() => {}
            _ => write_field(name, value, output),
        }
    }
    write_forwarded(request, client_text, scheme, trusted, output);
    write_via(request, via, output);
    match (body, request.framing) {
        // Nobody has a body to a request without one.
        (Some(body), Framing::None) if body.len() == 0 => {}
        (Some(body), _) => write_length(body.len(), output),
        (None, Framing::Length(length)) => write_length(length, output),
        (None, Framing::Chunked) => write_field(b"Transfer-Encoding", b"chunked", output),
        (None, Framing::None | Framing::UntilClose) => {}
    }
    if request.upgrade {
        output.extend_from_slice(b"Connection: Upgrade\r\n");
        for value in request.fields.all(Kind::Upgrade) {
            write_field(b"Upgrade", value, output);
        }
    }
    write_field(b"X-Request-Id", exchange.id().as_bytes(), output);
    output.extend_from_slice(b"\r\n");
}

/// Who asks, and for what: added to what trusted proxies said, in place of what others claim.
fn write_forwarded(request: &Request, client: &str, scheme: &str, trusted: bool, output: &mut Vec<u8>) {
    output.extend_from_slice(b"X-Forwarded-For: ");
    if trusted {
        for earlier in request.fields.all(Kind::ForwardedFor) {
            output.extend_from_slice(earlier);
            output.extend_from_slice(b", ");
        }
    }
    output.extend_from_slice(client.as_bytes());
    output.extend_from_slice(b"\r\n");
    if !(trusted && request.fields.contains(Kind::ForwardedProto)) {
        write_field(b"X-Forwarded-Proto", scheme.as_bytes(), output);
    }
    let told = trusted && request.fields.contains(Kind::ForwardedHost);
    if !told && !request.host().is_empty() {
        write_field(b"X-Forwarded-Host", request.host(), output);
    }
}

/// RFC 9110, 7.6.3.
fn write_via(request: &Request, earlier: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(b"Via: ");
    if !earlier.is_empty() {
        output.extend_from_slice(earlier);
        output.extend_from_slice(b", ");
    }
    output.extend_from_slice(if request.is_11 { b"1.1 tidegate\r\n" } else { b"1.0 tidegate\r\n" });
}
