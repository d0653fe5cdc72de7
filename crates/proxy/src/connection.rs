//! One client connection: reads requests one after the other and sees to their answers.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use tidegate_lua::Phase;
use tidegate_traffic::router;
use tokio::net::TcpStream;

use crate::{
    berth::Mooring,
    exchange::Exchange,
    fresh,
    handshake::{self, Arrival},
    http::request::Refusal,
    lane::{Crossing, Layer, Permit},
    line::Line,
    lua,
    peer::{Client, Peer},
    secure::Secure,
    site::{Route, Site},
    socket::{destination, place},
    wait::Fault,
    worker::Worker,
};

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) line: Line,
    pub(crate) exchange: Exchange,
}

/// Serves a client that came to the listener of this number, until it, or the node, has had enough. `local` is where it
/// came to, if that is known already.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    mooring: Mooring,
    listener: usize,
    client: SocketAddr,
    local: Option<SocketAddr>,
) {
    // Else somebody has taken it away.
    let Some(Client::Plain(stream)) = mooring.take() else { return };
    // An address that cannot be read belongs to a connection that is gone already.
    let Some(local) = local.or_else(|| destination(&stream, client).ok()) else { return };
    let place = place(&stream, client);
    let exchange = Exchange::new((client, mooring.number()), local, place, Rc::clone(&worker));
    if worker.tls_of(listener).is_some() {
        drop(mooring);
        Box::pin(receive(worker, stream, listener, exchange)).await;
    } else {
        let mut line = Line::new(worker, Peer::Client(Client::Plain(stream)));
        line.moor_at(mooring);
        Connection { line, exchange }.serve().await;
    }
}

/// The same for a client that is to speak TLS.
async fn receive(worker: Rc<Worker>, stream: TcpStream, listener: usize, mut exchange: Exchange) {
    match handshake::shake(&worker, stream, listener, &exchange).await {
        Arrival::Secure(secure, heritage) => {
            let _open = OpenTls::new(Rc::clone(&worker));
            exchange.secure = Some(Arc::clone(&secure.session));
            exchange.heritage = heritage;
            let refusal = secure.session.refusal;
            let line = Line::new(worker, Peer::Client(Client::Secure(secure)));
            let connection = Connection { line, exchange };
            match refusal {
                None => connection.serve().await,
                Some(reason) => connection.turn_away(reason).await,
            }
        }
        Arrival::Plain(stream, received) => {
            let mut line = Line::new(worker, Peer::Client(Client::Plain(stream)));
            line.give_back(&received);
            let reason = "The plain HTTP request was sent to HTTPS port";
            Connection { line, exchange }.turn_away(reason).await;
        }
        Arrival::Nobody => {}
    }
}

/// Counts a connection over which TLS is spoken for as long as it is open here.
struct OpenTls(Rc<Worker>);

impl OpenTls {
    fn new(worker: Rc<Worker>) -> Self {
        worker.series().tls_opened.fetch_add(1, Relaxed);
        Self(worker)
    }
}

impl Drop for OpenTls {
    fn drop(&mut self) {
        self.0.series().tls_closed.fetch_add(1, Relaxed);
    }
}

/// Goes on with a client that another thread has served.
pub(crate) async fn take_over(worker: Rc<Worker>, crossing: Crossing) {
    let Crossing { stream, layer, client, number, count, received } = crossing;
    // Fails only where the connection is gone.
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let Ok(local) = destination(&stream, client) else { return };
    let place = place(&stream, client);
    let mut exchange = Exchange::new((client, number), local, place, Rc::clone(&worker));
    exchange.count = count;
    let (connection, _open) = match layer {
        Layer::Fresh(listener) if worker.tls_of(listener).is_some() => {
            return Box::pin(receive(worker, stream, listener, exchange)).await;
        }
        Layer::Fresh(_) | Layer::Plain => (Client::Plain(stream), None),
        Layer::Secure(session) => {
            exchange.secure = Some(Arc::clone(&session));
            (Client::Secure(Secure::new(stream, session)), Some(OpenTls::new(Rc::clone(&worker))))
        }
    };
    let mut line = Line::new(worker, Peer::Client(connection));
    line.give_back(&received);
    Connection { line, exchange }.serve().await;
}

impl Connection {
    async fn serve(mut self) {
        loop {
            let site = self.line.worker.site();
            match self.read_request(&site).await {
                Next::Request => {
                    // The configuration may have changed while nothing was asked for.
                    let site = self.line.worker.site();
                    let served = if site.snapshot.lua.code_cache {
                        self.serve_request(&site).await
                    } else {
                        self.serve_freshly(&site).await
                    };
                    if let Some(permit) = served {
                        return self.cross(permit);
                    }
                    if !self.exchange.request.keep_alive {
                        break;
                    }
                    let parting = &self.line.worker.parting;
                    if parting.is_due()
                        && self.line.input.is_none()
                        && let Some(permit) = parting.next()
                    {
                        return self.pass_on(permit);
                    }
                }
                Next::Refused(refusal) => {
                    self.refuse(&site, refusal).await;
                    break;
                }
                Next::Idle => match self.line.worker.parting.next() {
                    Some(permit) => return self.pass_on(permit),
                    // There is somebody to go to, only not now.
                    None if self.line.worker.parting.is_due() => {}
                    None => return,
                },
                Next::End => return,
            }
        }
        self.line.linger().await;
    }
}

impl Connection {
    /// Answers a client that speaks plain HTTP where it should speak TLS, or has no certificate where it should have one.
    async fn turn_away(mut self, reason: &'static str) {
        let site = self.line.worker.site();
        match self.read_request(&site).await {
            Next::Request => {
                self.exchange.request.keep_alive = false;
                self.refuse(&site, Refusal { status: 400, reason }).await;
            }
            Next::Refused(refusal) => self.refuse(&site, refusal).await,
            Next::Idle | Next::End => return,
        }
        self.line.linger().await;
    }
}

enum Next {
    Request,
    Refused(Refusal),
    /// Nothing was asked for, for too long.
    Idle,
    End,
}

impl Connection {
    /// Waits for the next request and reads its head.
    async fn read_request(&mut self, site: &Site) -> Next {
        let Self { line, exchange } = self;
        let timeouts = &site.snapshot.timeouts;
        let mut seen = 0;
        if line.input.is_none() {
            line.front.arm_idle(timeouts.keep_alive);
        } else {
            line.front.arm(timeouts.header);
        }
        loop {
            if let Some(buffer) = &mut line.input {
                // RFC 9112, 2.2: an empty line before a request is a leftover of the one before.
                while seen == 0 && buffer.unread().starts_with(b"\r\n") {
                    buffer.consume(2);
                }
                match exchange.request.read(buffer.unread(), seen, &site.snapshot.limits) {
                    Err(refusal) => return Next::Refused(refusal),
                    Ok(None) => seen = buffer.len(),
                    Ok(Some(size)) => {
                        buffer.consume(size);
                        line.front.disarm();
                        line.release_input();
                        return Next::Request;
                    }
                }
            }
            let idle = line.input.is_none();
            let read = if idle {
                let Some(read) = line.read_idle((exchange.client, exchange.number), exchange.count).await
                else {
                    return Next::End;
                };
                read
            } else {
                line.read_armed().await
            };
            match read {
                Ok(0) if seen > 0 => {
                    return Next::Refused(Refusal { status: 400, reason: "request is cut off" });
                }
                Ok(1..) if idle => line.front.arm(timeouts.header),
                Ok(1..) => {}
                Err(Fault::Timeout) if !idle => {
                    return Next::Refused(Refusal { status: 408, reason: "request head takes too long" });
                }
                Err(Fault::Timeout) => return Next::Idle,
                Ok(0) | Err(Fault::Io(_)) => return Next::End,
            }
        }
    }

    /// Answers what is no request.
    async fn refuse(&mut self, site: &Site, refusal: Refusal) {
        let Self { line, exchange } = self;
        line.worker.series().bad_requests.fetch_add(1, Relaxed);
        exchange.request.clear();
        let now = Instant::now();
        exchange.begin(now, line.worker.timestamp(now));
        // An answer that cannot be sent is no more than the client deserves.
        let _ = line.send_report(exchange, site, None, refusal.status, refusal.reason).await;
        self.record(site);
    }

    /// Hands the connection to another thread, with the request that has just been read.
    fn cross(self, permit: Permit) {
        let mut received = self.exchange.request.head().to_vec();
        if let Some(input) = &self.line.input {
            received.extend_from_slice(input.unread());
        }
        let count = self.exchange.count - 1;
        self.go(permit, received, count);
    }

    /// Hands the connection to another worker, with nothing that has been asked for.
    fn pass_on(self, permit: Permit) {
        let count = self.exchange.count;
        self.go(permit, Vec::new(), count);
    }

    fn go(self, permit: Permit, received: Vec<u8>, count: u64) {
        let Self { line, exchange } = self;
        let Peer::Client(client) = line.stream else { return };
        if let Some(crossing) = Crossing::of(client, exchange.client, (exchange.number, count)) {
            permit.send(Crossing { received, ..crossing });
        }
    }

    /// Serves a request by code that is loaded for it alone.
    async fn serve_freshly(&mut self, site: &Site) -> Option<Permit> {
        match fresh::site(&self.line.worker, site) {
            Ok(fresh) => {
                let fresh = Rc::new(fresh);
                let permit = self.serve_request(&fresh).await;
                fresh.vm.set_exiting(true);
                permit
            }
            Err(error) => {
                tracing::error!(%error, "the request is not served: lua");
                let Self { line, exchange } = self;
                let now = Instant::now();
                exchange.begin(now, line.worker.timestamp(now));
                line.begin(&exchange.request, &site.snapshot.limits);
                let sent = line.send_report(exchange, site, None, 500, "").await;
                exchange.request.keep_alive &= sent.is_ok();
                self.record(site);
                self.line.end();
                None
            }
        }
    }

    /// Serves the request that has been read, unless it belongs on another thread.
    async fn serve_request(&mut self, site: &Rc<Site>) -> Option<Permit> {
        let Self { line, exchange } = self;
        let worker = Rc::clone(&line.worker);
        let now = Instant::now();
        worker.set_lua_clock(&site.vm, now);
        exchange.begin(now, worker.timestamp(now));
        if site.trusts(exchange.client.ip()) {
            exchange.adopt_id();
        }
        exchange.settle(site);
        line.begin(&exchange.request, &site.snapshot.limits);
        if let Some(route) = find_route(site, exchange).filter(|route| !route.internal) {
            let permit = worker.side.leave(&route.series, exchange.arrived);
            if permit.is_some() {
                exchange.site = None;
                return permit;
            }
            worker.side.wait_turn(&route.series, exchange.arrived).await;
            self.serve_route(site, route).await;
        } else {
            worker.series().unrouted_requests.fetch_add(1, Relaxed);
            let message = "no route for this host, path and method";
            let sent = line.send_report(exchange, site, None, 404, message).await;
            exchange.request.keep_alive &= sent.is_ok();
        }
        self.record(site);
        site.vm.finish(&mut self.exchange.lua);
        self.exchange.site = None;
        self.line.end();
        None
    }

    async fn serve_route(&mut self, site: &Site, route: &Route) {
        let worker = Rc::clone(&self.line.worker);
        let shard = route.series.shard(worker.index);
        shard.arrive();
        let (route, outcome) = self.respond(site, route).await;
        let Self { line, exchange } = self;
        exchange.request.keep_alive &= outcome.is_ok();
        exchange.bytes_in = exchange.bytes_in.max(line.reader.received());
        if let Some(log) = &route.log {
            // What goes wrong in it has been logged and counted, and the answer is on its way.
            let _ = lua::run_detached(&worker, route, log, Phase::Log, exchange).await;
        }
        shard.transfer(exchange.bytes_in, exchange.bytes_out);
        shard.end(exchange.response.status, exchange.started.elapsed());
    }

    fn record(&self, site: &Site) {
        if let Some(settings) = &site.snapshot.access_log {
            let seconds = self.exchange.started.elapsed().as_secs_f64();
            let worker = &self.line.worker;
            worker.access_log.record(settings, &self.exchange, seconds, worker.series());
        }
    }
}

pub(crate) fn find_route<'a>(site: &'a Site, exchange: &Exchange) -> Option<&'a Route> {
    let request = &exchange.request;
    let found = site.router.find(&router::Request {
        host: request.host(),
        path: request.path(),
        method: request.method(),
        header: &|name| request.fields.get(name.as_bytes()),
    });
    found.map(|index| &site.routes[index])
}
