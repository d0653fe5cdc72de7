//! One client connection: reads requests one after the other and sees to their answers.

use std::{net::SocketAddr, rc::Rc, sync::atomic::Ordering::Relaxed, time::Instant};

use tidegate_core::snapshot::LocalAnswer;
use tidegate_lua::{Op, Phase, Reply, Verdict};
use tidegate_traffic::router;
use tokio::net::TcpStream;

use crate::{
    answer,
    error::Error,
    exchange::Exchange,
    forward::{self, Outcome, Upgraded},
    http::{
        body::{self, Framing},
        request::Refusal,
    },
    line::Line,
    local, lua,
    site::{Route, Site, Value},
    tunnel,
    upstream::Upstream,
    wait::{Fault, Limit},
    worker::Worker,
};

/// `ngx.exit(444)`: close without an answer, as nginx does it.
const CLOSE: u16 = 444;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) line: Line,
    pub(crate) exchange: Exchange,
}

/// Serves a client until it, or the node, has had enough.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, client: SocketAddr) {
    // A local address that cannot be read belongs to a connection that is gone already.
    let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else { return };
    let mut connection =
        Connection { line: Line::new(worker, stream), exchange: Exchange::new(client, local) };
    loop {
        let site = connection.line.worker.site();
        match connection.read_request(&site).await {
            Next::Request => {
                // The configuration may have changed while nothing was asked for.
                let site = connection.line.worker.site();
                connection.serve_request(&site).await;
                if !connection.exchange.request.keep_alive {
                    break;
                }
            }
            Next::Refused(refusal) => {
                connection.refuse(&site, refusal).await;
                break;
            }
            Next::End => return,
        }
    }
    connection.line.linger().await;
}

enum Next {
    Request,
    Refused(Refusal),
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
            match line.read_armed().await {
                Ok(0) if seen > 0 => {
                    return Next::Refused(Refusal { status: 400, reason: "request is cut off" });
                }
                Ok(1..) if idle => line.front.arm(timeouts.header),
                Ok(1..) => {}
                Err(Fault::Timeout) if !idle => {
                    return Next::Refused(Refusal { status: 408, reason: "request head takes too long" });
                }
                Ok(0) | Err(_) => return Next::End,
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

    async fn serve_request(&mut self, site: &Site) {
        let Self { line, exchange } = self;
        let worker = Rc::clone(&line.worker);
        let now = Instant::now();
        worker.set_lua_clock(now);
        exchange.begin(now, worker.timestamp(now));
        if site.trusts(exchange.client.ip()) {
            exchange.adopt_id();
        }
        line.begin(&exchange.request, &site.snapshot.limits);
        if let Some(route) = find_route(site, exchange).filter(|route| !route.internal) {
            self.serve_route(site, route).await;
        } else {
            worker.series().unrouted_requests.fetch_add(1, Relaxed);
            let message = "no route for this host, path and method";
            let sent = line.send_report(exchange, site, None, 404, message).await;
            exchange.request.keep_alive &= sent.is_ok();
        }
        self.record(site);
        worker.vm.finish(&mut self.exchange.lua);
        self.line.end();
    }

    async fn serve_route(&mut self, site: &Site, route: &Route) {
        let worker = Rc::clone(&self.line.worker);
        let shard = route.series.shard(worker.index);
        shard.arrive();
        self.exchange.route = Some(route.name.clone());
        self.exchange.filtered = route.body_filter.is_some();
        let mut outcome = self.respond(site, route).await;
        if let Err(error) = outcome {
            outcome = self.report(site, route, error).await;
        }
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

    async fn respond(&mut self, site: &Site, route: &Route) -> Result<(), Error> {
        if let Framing::Length(length) = self.exchange.request.framing
            && length > site.snapshot.limits.body_bytes
        {
            return Err(Error::RequestBody(body::Error::TooLarge));
        }
        for (name, value) in site.vars.iter().chain(&route.vars) {
            let value = self.value(route, value).await?;
            self.exchange.define(name, value);
        }
        if route.need_request_body {
            self.line.read_body(&mut self.exchange, site).await?;
        }
        let before = [
            (&site.server_rewrite, Phase::ServerRewrite),
            (&route.rewrite, Phase::Rewrite),
            (&route.access, Phase::Access),
            (&route.precontent, Phase::Precontent),
        ];
        for (handler, phase) in before {
            let Some(handler) = handler else { continue };
            match self.run_lua(site, route, handler, phase).await? {
                Verdict::Exit(code) if code != 0 => return self.exit(site, route, code).await,
                // Whatever has begun an answer has to end it.
                _ if self.exchange.headers_sent || !self.exchange.written.is_empty() => {
                    return self.line.finish_lua(&mut self.exchange, site, route).await;
                }
                _ => {}
            }
        }
        if let Some(content) = &route.content {
            let verdict = self.run_lua(site, route, content, Phase::Content).await?;
            let code = if let Verdict::Exit(code) = verdict { code } else { 0 };
            return self.exit(site, route, code).await;
        }
        if let Some(local) = &route.local {
            return self.answer_locally(site, route, local).await;
        }
        let upstream = route.upstream.as_ref().expect("a route without an answer of its own has an upstream");
        self.forward(site, route, upstream).await
    }

    /// What a variable is set to for this request.
    async fn value(&mut self, route: &Route, value: &Value) -> Result<Vec<u8>, Error> {
        let Self { line, exchange } = self;
        let (handler, args) = match value {
            Value::Text(text) => return Ok(local::text(exchange, text)),
            Value::Lua(handler, args) => (handler, args),
        };
        let given = args.iter().map(|text| local::text(exchange, text)).collect();
        let arguments = &mut exchange.lua.arguments;
        arguments.given = given;
        arguments.result.clear();
        lua::run_detached(&line.worker, route, handler, Phase::Set, exchange).await?;
        Ok(std::mem::take(&mut exchange.lua.arguments.result))
    }

    async fn answer_locally(&mut self, site: &Site, route: &Route, local: &LocalAnswer) -> Result<(), Error> {
        match local {
            LocalAnswer::Fixed(fixed) => {
                local::fixed(&mut self.exchange, fixed);
                self.line.finish_lua(&mut self.exchange, site, route).await
            }
            LocalAnswer::Files(files) => match local::file(&mut self.exchange, files).await {
                Ok(()) => self.line.finish_lua(&mut self.exchange, site, route).await,
                Err(status) => self.line.send_report(&mut self.exchange, site, Some(route), status, "").await,
            },
        }
    }

    async fn forward(&mut self, site: &Site, route: &Route, upstream: &Upstream) -> Result<(), Error> {
        match forward::forward(self, site, route, upstream).await? {
            Outcome::Answered => Ok(()),
            Outcome::Upgraded(upgraded) => {
                self.tunnel(site, upgraded).await;
                Ok(())
            }
        }
    }

    async fn tunnel(&mut self, site: &Site, upgraded: Upgraded) {
        let Upgraded { stream: mut upstream, sent, in_flight } = upgraded;
        let Self { line, exchange } = self;
        exchange.request.keep_alive = false;
        let limit = Limit { deadline: &line.front, span: site.snapshot.timeouts.tunnel_idle };
        let input = line.input.take();
        let pool = &line.worker.buffers;
        let carried = tunnel::run(&mut line.stream, &mut upstream, input, sent, limit, pool).await;
        drop(in_flight);
        exchange.bytes_in = carried.up;
        exchange.bytes_out = carried.down;
    }

    async fn run_lua(
        &mut self,
        site: &Site,
        route: &Route,
        handler: &tidegate_lua::Handler,
        phase: Phase,
    ) -> Result<Verdict, Error> {
        let Self { line, exchange } = self;
        let worker = Rc::clone(&line.worker);
        lua::run(&worker, route, handler, phase, exchange, async |exchange, op| match op {
            Op::ReadBody => line.read_body(exchange, site).await,
            Op::Flush => line.flush_lua(exchange, site, route).await,
            Op::Sleep(_) | Op::Detached(_) => Ok(Reply::Done),
        })
        .await
    }

    /// Lua has ended, with `ngx.exit(code)` or by itself (0).
    async fn exit(&mut self, site: &Site, route: &Route, code: u16) -> Result<(), Error> {
        let Self { line, exchange } = self;
        if code == CLOSE {
            exchange.response.status = CLOSE;
            return Err(Error::ClientGone);
        }
        let unset = exchange.response.status == 0;
        if (code >= 300 || (code >= 200 && unset)) && !exchange.headers_sent {
            exchange.response.status = code;
        }
        if answer::is_told(code, &site.snapshot.answers)
            && exchange.written.is_empty()
            && !exchange.headers_sent
        {
            return line.send_report(exchange, site, Some(route), code, "").await;
        }
        line.finish_lua(exchange, site, route).await
    }

    /// Tells the client what went wrong, if it can still be told.
    async fn report(&mut self, site: &Site, route: &Route, error: Error) -> Result<(), Error> {
        let Self { line, exchange } = self;
        if matches!(error, Error::ClientGone) || exchange.headers_sent {
            if !exchange.headers_sent && exchange.response.status != CLOSE {
                exchange.response.status = error.status();
            }
            return Err(error);
        }
        tracing::debug!(route = %route.name, %error, "request failed");
        exchange.response.clear();
        let reported = line.send_report(exchange, site, Some(route), error.status(), error.public()).await;
        match reported {
            // The filter that broke the answer breaks the report too: do without it.
            Err(Error::Lua) => line.send_report(exchange, site, None, 500, "").await,
            reported => reported,
        }
    }
}

fn find_route<'a>(site: &'a Site, exchange: &Exchange) -> Option<&'a Route> {
    let request = &exchange.request;
    let found = site.router.find(&router::Request {
        host: request.host(),
        path: request.path(),
        method: request.method(),
        header: &|name| request.fields.get(name.as_bytes()),
    });
    found.map(|index| &site.routes[index])
}
