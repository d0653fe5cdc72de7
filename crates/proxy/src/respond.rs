//! Has a request answered: phase by phase, by its route and by those that Lua sends it on to.

use std::{future::poll_fn, rc::Rc, time::Instant};

use tidegate_core::snapshot::LocalAnswer;
use tidegate_lua::{Jump, Op, Phase, Reply, Verdict};

use crate::{
    answer,
    connection::{Connection, find_route},
    error::Error,
    forward::{self, Outcome, Upgraded},
    http::body::{self, Framing},
    local,
    lua::{self, Demand},
    peer::Peer,
    plugin::Plugin,
    site::{Route, Site, Value},
    tunnel,
    upstream::Upstream,
    wait::Limit,
};

/// `ngx.exit(444)`: close without an answer, as nginx does it.
pub(crate) const CLOSE: u16 = 444;

/// How often a request may be sent on to another route.
const JUMPS: usize = 10;

/// Where a request enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// What is done for every request comes first.
    Server,
    Route,
}

impl Connection {
    /// Has the request answered, by `route` unless that sends it on. Tells the route that it came to.
    pub(crate) async fn respond<'a>(
        &mut self,
        site: &'a Site,
        route: &'a Route,
    ) -> (&'a Route, Result<(), Error>) {
        let (mut route, mut entry) = (route, Entry::Server);
        for _ in 0..=JUMPS {
            self.exchange.enter(route);
            let jump = match self.pass(site, route, entry).await {
                Ok(Some(jump)) => jump,
                Ok(None) => return (route, Ok(())),
                Err(error) => return (route, self.report(site, route, error).await),
            };
            if self.exchange.entry.is_none() {
                self.exchange.entry = Some(route.name.clone());
            }
            match self.follow(site, &jump) {
                Ok((next, at)) => (route, entry) = (next, at),
                Err(status) => return (route, self.fail(site, route, status).await),
            }
        }
        let path = String::from_utf8_lossy(self.exchange.request.path());
        let doing = if entry == Entry::Server { "internally redirecting to" } else { "processing" };
        tracing::error!(
            route = %route.name,
            "rewrite or internal redirection cycle while {doing} \"{path}\""
        );
        (route, self.fail(site, route, 500).await)
    }

    async fn fail(&mut self, site: &Site, route: &Route, status: u16) -> Result<(), Error> {
        let sent = self.line.send_report(&mut self.exchange, site, Some(route), status, "").await;
        match sent {
            Err(error) => self.report(site, route, error).await,
            Ok(()) => Ok(()),
        }
    }

    /// The route that Lua sends the request on to, or the status to answer instead.
    fn follow<'a>(&mut self, site: &'a Site, jump: &Jump) -> Result<(&'a Route, Entry), u16> {
        let exchange = &mut self.exchange;
        if !matches!(jump, Jump::Rewrite) {
            // The request begins anew, without what Lua kept for it.
            site.vm.finish(&mut exchange.lua);
            exchange.is_internal = true;
        }
        match jump {
            Jump::Name(name) => {
                let place = std::str::from_utf8(name).ok().and_then(|name| site.places.get(name));
                let Some(&index) = place else {
                    let name = String::from_utf8_lossy(name);
                    tracing::error!("could not find named location \"{name}\"");
                    return Err(500);
                };
                return Ok((&site.routes[index], Entry::Route));
            }
            Jump::Path { path, args } => {
                exchange.request.set_path(path);
                exchange.request.set_query(args);
            }
            Jump::Rewrite => {}
        }
        let entry = if *jump == Jump::Rewrite { Entry::Route } else { Entry::Server };
        find_route(site, exchange).map(|route| (route, entry)).ok_or(404)
    }

    /// Runs the phases of `route`; tells where the request goes if it is not answered there.
    async fn pass(&mut self, site: &Site, route: &Route, entry: Entry) -> Result<Option<Jump>, Error> {
        self.exchange.lua.budget = route.budget;
        let now = || self.line.worker.timestamp(Instant::now());
        self.exchange.lua.left_to_stretch = route.series.slowness.left(now);
        self.exchange.lua.label = route.label;
        if let Framing::Length(length) = self.exchange.request.framing
            && length > site.snapshot.limits.body_bytes
        {
            return Err(Error::RequestBody(body::Error::TooLarge));
        }
        if entry == Entry::Server {
            if !site.vars.is_empty() {
                self.define(route, &site.vars).await?;
            }
            if let Some(plugin) = &site.server_rewrite {
                let ended = self.run_before(site, route, plugin, Phase::ServerRewrite).await?;
                if let Some(end) = ended {
                    return Ok(end);
                }
                if self.exchange.request.is_rewritten {
                    // What it is now decides on the route.
                    let found = find_route(site, &self.exchange);
                    if !found.is_some_and(|found| std::ptr::eq(found, route)) {
                        return Ok(Some(Jump::Rewrite));
                    }
                }
            }
        }
        if !route.vars.is_empty() {
            self.define(route, &route.vars).await?;
        }
        if route.need_request_body {
            self.line.read_body(&mut self.exchange, site).await?;
        }
        let before = [
            (&route.rewrite, Phase::Rewrite),
            (&route.access, Phase::Access),
            (&route.precontent, Phase::Precontent),
        ];
        for (plugin, phase) in before {
            let Some(plugin) = plugin else { continue };
            // Access was granted to the request around it.
            if phase == Phase::Access && self.exchange.depth > 0 {
                continue;
            }
            if let Some(end) = self.run_before(site, route, plugin, phase).await? {
                return Ok(end);
            }
        }
        self.answer(site, route).await
    }

    /// Runs a phase before the answer is made; tells if the request has come to its end with it, or goes elsewhere.
    async fn run_before(
        &mut self,
        site: &Site,
        route: &Route,
        plugin: &Plugin,
        phase: Phase,
    ) -> Result<Option<Option<Jump>>, Error> {
        let verdict = self.run_lua(site, route, plugin, phase).await?;
        if let Some(jump) = self.exchange.lua.jump.take() {
            if jump == Jump::Rewrite {
                // What Lua kept belongs to the route that the request leaves.
                site.vm.finish(&mut self.exchange.lua);
            }
            return Ok(Some(Some(jump)));
        }
        match verdict {
            Verdict::Exit(code) if code != 0 => self.exit(site, route, code).await?,
            // Whatever has begun an answer has to end it.
            _ if self.exchange.headers_sent
                || self.exchange.is_committed()
                || !self.exchange.written.is_empty() =>
            {
                self.line.finish_lua(&mut self.exchange, site, route).await?;
            }
            _ => return Ok(None),
        }
        Ok(Some(None))
    }

    async fn answer(&mut self, site: &Site, route: &Route) -> Result<Option<Jump>, Error> {
        if let Some(content) = &route.content {
            let verdict = self.run_lua(site, route, content, Phase::Content).await?;
            if let Some(jump) = self.exchange.lua.jump.take() {
                return Ok(Some(jump));
            }
            let code = if let Verdict::Exit(code) = verdict { code } else { 0 };
            self.exit(site, route, code).await?;
        } else if let Some(local) = &route.local {
            self.answer_locally(site, route, local).await?;
        } else {
            let upstream =
                route.upstream.as_ref().expect("a route without an answer of its own has an upstream");
            self.forward(site, route, upstream).await?;
        }
        Ok(None)
    }

    async fn define(&mut self, route: &Route, vars: &[(String, Value)]) -> Result<(), Error> {
        for (name, value) in vars {
            let value = self.value(route, value).await?;
            self.exchange.define(name, value);
        }
        Ok(())
    }

    /// What a variable is set to for this request.
    async fn value(&mut self, route: &Route, value: &Value) -> Result<Vec<u8>, Error> {
        let Self { line, exchange } = self;
        let (plugin, args) = match value {
            Value::Text(text) => return Ok(local::text(exchange, text)),
            Value::Lua(plugin, args) => (plugin, args),
        };
        let given = args.iter().map(|text| local::text(exchange, text)).collect();
        let arguments = &mut exchange.lua.arguments;
        arguments.given = given;
        arguments.result.clear();
        lua::run_detached(&line.worker, route, plugin, Phase::Set, exchange).await?;
        Ok(std::mem::take(&mut exchange.lua.arguments.result))
    }

    async fn answer_locally(&mut self, site: &Site, route: &Route, local: &LocalAnswer) -> Result<(), Error> {
        match local {
            LocalAnswer::Fixed(fixed) => {
                local::fixed(&mut self.exchange, fixed);
                self.line.finish_lua(&mut self.exchange, site, route).await
            }
            LocalAnswer::Files(files) => match local::file(&mut self.exchange, files, &self.line.worker.log)
                .await
            {
                Ok(()) => self.line.finish_lua(&mut self.exchange, site, route).await,
                Err(status) if !answer::is_told(status, &site.snapshot.answers) => {
                    self.exchange.response.status = status;
                    self.line.finish_lua(&mut self.exchange, site, route).await
                }
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
        let Upgraded { link: mut upstream, sent, in_flight } = upgraded;
        let Self { line, exchange } = self;
        exchange.request.keep_alive = false;
        let limit = Limit { deadline: &line.front, span: site.snapshot.timeouts.tunnel_idle };
        let input = line.input.take();
        let pool = &line.worker.buffers;
        let Peer::Client(client) = &mut line.stream else { return };
        let carried = tunnel::run(client, &mut upstream, input, sent, limit, pool).await;
        drop(in_flight);
        exchange.bytes_in = carried.up;
        exchange.bytes_out = carried.down;
    }

    async fn run_lua(
        &mut self,
        site: &Site,
        route: &Route,
        plugin: &Plugin,
        phase: Phase,
    ) -> Result<Verdict, Error> {
        let Self { line, exchange } = self;
        let worker = Rc::clone(&line.worker);
        lua::run(&worker, route, plugin, phase, exchange, async |exchange, demand| match demand {
            Demand::Watch => {
                poll_fn(|cx| line.stream.poll_gone(cx)).await;
                Ok(Reply::Done)
            }
            Demand::Perform(op) => match op {
                Op::ReadBody => line.read_body(exchange, site).await,
                Op::Flush => line.flush_lua(exchange, site, route).await,
                Op::SendHead => line.send_head(exchange, site, route).await,
                Op::Eof => line.end_lua(exchange, site, route).await.map(|()| Reply::Done),
                Op::Socket { raw } => line.lend(exchange, site, raw).await,
                Op::Sleep(_) | Op::Detached(_) => Ok(Reply::Done),
            },
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
            && !(exchange.headers_sent || exchange.is_committed())
        {
            return line.send_report(exchange, site, Some(route), code, "").await;
        }
        line.finish_lua(exchange, site, route).await
    }

    /// A header filter wants another answer. It has had its say, so this one is not filtered.
    async fn replace(&mut self, site: &Site, code: u16) -> Result<(), Error> {
        let Self { line, exchange } = self;
        exchange.response.clear();
        exchange.response.status = code;
        if code == CLOSE {
            return Err(Error::ClientGone);
        }
        line.send_report(exchange, site, None, code, "").await
    }

    /// Tells the client what went wrong, if it can still be told.
    async fn report(&mut self, site: &Site, route: &Route, error: Error) -> Result<(), Error> {
        let Self { line, exchange } = self;
        if !matches!(error, Error::Replaced(_) | Error::Exit(_)) {
            exchange.failure = Some(error.to_string().into());
        }
        if matches!(error, Error::ClientGone) || exchange.headers_sent {
            if !exchange.headers_sent && exchange.response.status != CLOSE {
                exchange.response.status = error.status();
            }
            return Err(error);
        }
        if let Error::Replaced(code) = error {
            return self.replace(site, code).await;
        }
        match error {
            // It has been said, and goes on.
            Error::Spool(_) if !line.worker.shared.outage.refuse(Instant::now()) => {}
            Error::NoInstance | Error::NoAddress | Error::QueueFull | Error::Spool(_) => {
                line.worker.complain(route, exchange, None, &error, false);
            }
            _ => tracing::debug!(route = %route.name, %error, "request failed"),
        }
        // What is still to come of its body could be taken for a request.
        exchange.request.keep_alive &= !matches!(error, Error::ClientStalled);
        exchange.response.clear();
        match line.send_report(exchange, site, Some(route), error.status(), error.public()).await {
            Err(Error::Replaced(code)) => self.replace(site, code).await,
            reported => reported,
        }
    }
}
