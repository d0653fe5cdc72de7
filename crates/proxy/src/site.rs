//! A snapshot, made ready for one worker: routes arranged for lookup, Lua compiled, counters found.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    num::NonZeroU32,
    rc::Rc,
    sync::Arc,
};

use tidegate_core::{
    Endpoint, InstanceId, RouteId, Snapshot, Telemetry, UpstreamId,
    roster::Load,
    snapshot::{
        self, Address, Assignment, Budget, LocalAnswer, Script, StaticAddress, StaticEndpoint, Template,
    },
    telemetry::{PluginId, Series},
};
use tidegate_lua::{Handler, Phase, Purpose, Trust, Vm, flame::Label};
use tidegate_traffic::Router;

use crate::{deadline::Deadlines, http::fields::is_value, plugin::Plugin, upstream::Upstream, way::Ways};

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Where its scripts were compiled, and run.
    pub(crate) vm: Rc<Vm>,
    pub(crate) router: Router,
    pub(crate) routes: Vec<Route>,
    pub(crate) upstreams: BTreeMap<UpstreamId, Rc<Upstream>>,
    /// Set for every request, before its route's own.
    pub(crate) vars: Vec<(String, Value)>,
    pub(crate) server_rewrite: Option<Plugin>,
    /// What has a say in handshakes, by the number of the listener.
    pub(crate) handshakes: Vec<Handshake>,
    /// All variables that are defined anywhere.
    pub(crate) names: HashSet<String>,
    /// Routes by the name to go to, `@` included.
    pub(crate) places: HashMap<String, usize>,
    /// Compiled once for all routes that use them, and carried over to the next site.
    handlers: HashMap<(Script, Purpose, Trust), Handler>,
}

/// The scripts that have a say in a handshake, in the order in which they run.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    pub(crate) hello: Option<Plugin>,
    pub(crate) session_fetch: Option<Plugin>,
    pub(crate) certificate: Option<Plugin>,
    pub(crate) session_store: Option<Plugin>,
}

impl Handshake {
    pub(crate) const fn is_empty(&self) -> bool {
        let Self { hello, session_fetch, certificate, session_store } = self;
        hello.is_none() && session_fetch.is_none() && certificate.is_none() && session_store.is_none()
    }
}

/// What a variable is set to.
#[derive(Debug)]
pub(crate) enum Value {
    Text(Template),
    /// What a script returns that is given these.
    Lua(Plugin, Vec<Template>),
}

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: RouteId,
    pub(crate) label: Label,
    /// Where its scripts run.
    pub(crate) vm: Rc<Vm>,
    pub(crate) series: Arc<Series>,
    pub(crate) upstream: Option<Rc<Upstream>>,
    pub(crate) local: Option<LocalAnswer>,
    /// Of its path, if it captures something.
    pub(crate) regex: Option<regex::Regex>,
    /// Only `ngx.exec` and subrequests may get here.
    pub(crate) internal: bool,
    pub(crate) vars: Vec<(String, Value)>,
    pub(crate) need_request_body: bool,
    /// Of answers that are made here and name no type.
    pub(crate) default_type: Option<Rc<str>>,
    /// A client that goes away ends the Lua that runs for it.
    pub(crate) check_client_abort: bool,
    /// How a request waits for an instance.
    pub(crate) queue: snapshot::Waiting,
    pub(crate) budget: Budget,
    pub(crate) rewrite: Option<Plugin>,
    pub(crate) access: Option<Plugin>,
    pub(crate) precontent: Option<Plugin>,
    pub(crate) balancer: Option<Plugin>,
    pub(crate) content: Option<Plugin>,
    pub(crate) header_filter: Option<Plugin>,
    pub(crate) body_filter: Option<Plugin>,
    pub(crate) log: Option<Plugin>,
}

/// What a site is built with.
pub(crate) struct Ground<'a> {
    pub(crate) worker: usize,
    pub(crate) telemetry: &'a Telemetry,
    pub(crate) vm: &'a Rc<Vm>,
    pub(crate) deadlines: &'a Rc<Deadlines>,
    /// How TLS is spoken with upstreams.
    pub(crate) ways: &'a Ways,
}

/// How scripts are loaded: what for, and with what trust.
struct Loading<'a> {
    ground: &'a Ground<'a>,
    previous: Option<&'a Site>,
    /// The route that they are of, if they are of one.
    route: Option<&'a RouteId>,
    trust: Trust,
}

impl Site {
    /// Builds the site of `snapshot`; what `previous` has and is still wanted is taken over from it.
    pub(crate) fn new(
        snapshot: &Arc<Snapshot>,
        ground: &Ground<'_>,
        previous: Option<&Self>,
    ) -> Result<Self, tidegate_lua::Error> {
        let upstreams = upstreams(snapshot, ground, previous);
        let mut site = Self {
            router: Router::new(&snapshot.routes),
            routes: Vec::with_capacity(snapshot.routes.len()),
            upstreams,
            vars: Vec::new(),
            server_rewrite: None,
            handshakes: Vec::new(),
            names: names(snapshot),
            places: places(&snapshot.routes),
            handlers: HashMap::new(),
            snapshot: Arc::clone(snapshot),
            vm: Rc::clone(ground.vm),
        };
        let load = Loading { ground, previous, route: None, trust: trust(snapshot.lua.sandbox) };
        site.server_rewrite =
            site.plugin(snapshot.lua.server_rewrite.as_ref(), Phase::ServerRewrite, &load)?;
        site.handshakes = site.handshakes(&load)?;
        site.vars = site.values(&snapshot.vars, &load)?;
        if let Some(previous) = previous {
            forgive(snapshot, &previous.snapshot, ground.telemetry);
        }
        for route in &snapshot.routes {
            let load = Loading { ground, previous, route: Some(&route.name), trust: trust(route.sandbox) };
            let mut plugin = |script: &Option<Script>, phase| site.plugin(script.as_ref(), phase, &load);
            let hooks = &route.hooks;
            let rewrite = plugin(&hooks.rewrite, Phase::Rewrite)?;
            let access = plugin(&hooks.access, Phase::Access)?;
            let precontent = plugin(&hooks.precontent, Phase::Precontent)?;
            let balancer = plugin(&hooks.balancer, Phase::Balancer)?;
            let content = plugin(&hooks.content, Phase::Content)?;
            let header_filter = plugin(&hooks.header_filter, Phase::HeaderFilter)?;
            let body_filter = plugin(&hooks.body_filter, Phase::BodyFilter)?;
            let log = plugin(&hooks.log, Phase::Log)?;
            let vars = site.values(&route.vars, &load)?;
            site.routes.push(Route {
                name: route.name.clone(),
                label: ground.vm.label(&route.name),
                vm: Rc::clone(ground.vm),
                series: ground.telemetry.route(&route.name),
                upstream: route.upstream.as_ref().map(|name| Rc::clone(&site.upstreams[name])),
                local: route.local.clone(),
                regex: captures(route),
                internal: route.internal,
                vars,
                need_request_body: route.need_request_body,
                default_type: default_type(route),
                check_client_abort: route.check_client_abort,
                queue: route.queue.clone(),
                budget: route.budget,
                rewrite,
                access,
                precontent,
                balancer,
                content,
                header_filter,
                body_filter,
                log,
            });
        }
        Ok(site)
    }

    fn handshakes(&mut self, load: &Loading<'_>) -> Result<Vec<Handshake>, tidegate_lua::Error> {
        let snapshot = Arc::clone(&self.snapshot);
        let all = snapshot.listeners.iter().map(|listener| {
            let Some(tls) = &listener.tls else { return Ok(Handshake::default()) };
            Ok(Handshake {
                hello: self.plugin(tls.ssl_client_hello.as_ref(), Phase::SslClientHello, load)?,
                session_fetch: self.plugin(tls.ssl_session_fetch.as_ref(), Phase::SslSessionFetch, load)?,
                certificate: self.plugin(tls.ssl_certificate.as_ref(), Phase::SslCertificate, load)?,
                session_store: self.plugin(tls.ssl_session_store.as_ref(), Phase::SslSessionStore, load)?,
            })
        });
        all.collect()
    }

    fn plugin(
        &mut self,
        script: Option<&Script>,
        phase: Phase,
        load: &Loading<'_>,
    ) -> Result<Option<Plugin>, tidegate_lua::Error> {
        let Some(script) = script else { return Ok(None) };
        self.compile(script, Purpose::Phase, load)
            .map(|handler| Some(self.place(handler, script, phase, load)))
    }

    /// A script that was compiled, as it is counted.
    fn place(&self, handler: Handler, script: &Script, phase: Phase, load: &Loading<'_>) -> Plugin {
        let id = PluginId {
            route: load.route.cloned(),
            phase: phase.name(),
            script: script.label(&self.snapshot.lua.prefix),
        };
        Plugin { handler, tally: load.ground.telemetry.plugin(id) }
    }

    fn compile(
        &mut self,
        script: &Script,
        purpose: Purpose,
        load: &Loading<'_>,
    ) -> Result<Handler, tidegate_lua::Error> {
        let (vm, trust) = (load.ground.vm, load.trust);
        let key = (script.clone(), purpose, trust);
        if let Some(known) = self.handlers.get(&key) {
            return Ok(known.clone());
        }
        // What was compiled in another VM cannot run in this one.
        let previous = load.previous.filter(|site| Rc::ptr_eq(&site.vm, vm));
        let handler = match previous.and_then(|site| site.handlers.get(&key)) {
            Some(known) => known.clone(),
            None => working(vm.compile(script, purpose, trust), script, vm)?,
        };
        self.handlers.insert(key, handler.clone());
        Ok(handler)
    }

    fn values(
        &mut self,
        vars: &[Assignment],
        load: &Loading<'_>,
    ) -> Result<Vec<(String, Value)>, tidegate_lua::Error> {
        let mut value = |value: &snapshot::Value| match value {
            snapshot::Value::Text(text) => Ok(Value::Text(text.clone())),
            snapshot::Value::Lua { script, args } => {
                let handler = self.compile(script, Purpose::Variable, load)?;
                Ok(Value::Lua(self.place(handler, script, Phase::Set, load), args.clone()))
            }
        };
        vars.iter().map(|var| Ok((var.name.clone(), value(&var.value)?))).collect()
    }

    /// Every script that is compiled, and those that prepare workers.
    pub(crate) fn scripts(&self) -> impl Iterator<Item = &Script> {
        let lua = &self.snapshot.lua;
        let of_workers = [&lua.init, &lua.init_worker, &lua.exit_worker].into_iter().flatten();
        self.handlers.keys().map(|(script, ..)| script).chain(of_workers)
    }

    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.snapshot.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}

/// A script that cannot be had fails when it is to run, and costs only the requests that need it.
fn working(
    loaded: Result<Handler, tidegate_lua::Error>,
    script: &Script,
    vm: &Vm,
) -> Result<Handler, tidegate_lua::Error> {
    match loaded {
        Err(error @ (tidegate_lua::Error::Syntax(_) | tidegate_lua::Error::Unreadable(_))) => {
            Ok(vm.load_failing(script, &error))
        }
        other => other,
    }
}

/// Routes whose scripts have changed may no longer be slow.
fn forgive(new: &Snapshot, old: &Snapshot, telemetry: &Telemetry) {
    let known: HashMap<_, _> = old.routes.iter().map(|route| (&route.name, &route.hooks)).collect();
    for route in &new.routes {
        if known.get(&route.name).is_some_and(|known| **known != route.hooks) {
            telemetry.route(&route.name).slowness.forgive();
        }
    }
}

const fn trust(sandbox: bool) -> Trust {
    if sandbox { Trust::Sandbox } else { Trust::Full }
}

fn names(snapshot: &Snapshot) -> HashSet<String> {
    let all = snapshot.routes.iter().flat_map(|route| &route.vars).chain(&snapshot.vars);
    all.map(|var| var.name.clone()).collect()
}

fn places(routes: &[snapshot::Route]) -> HashMap<String, usize> {
    let named = routes.iter().enumerate();
    named.filter_map(|(index, route)| Some((route.matcher.name.clone()?, index))).collect()
}

/// The regular expression of a route's path, if it captures something.
fn captures(route: &snapshot::Route) -> Option<regex::Regex> {
    match &route.matcher.path {
        snapshot::PathMatch::Regex(regex) if regex.captures_len() > 1 => Some(regex.clone()),
        _ => None,
    }
}

/// A type that cannot be a header is none.
fn default_type(route: &snapshot::Route) -> Option<Rc<str>> {
    let default = &route.default_type;
    let given = route.use_default_type && !default.is_empty() && is_value(default.as_bytes());
    given.then(|| default.as_str().into())
}

fn upstreams(
    snapshot: &Snapshot,
    ground: &Ground<'_>,
    previous: Option<&Site>,
) -> BTreeMap<UpstreamId, Rc<Upstream>> {
    let ready = |(name, settings): (&UpstreamId, &tidegate_core::snapshot::Upstream)| {
        let known = previous
            .and_then(|site| site.upstreams.get(name))
            .filter(|known| known.settings.borrow().target == settings.target);
        let upstream = if let Some(known) = known {
            known.update(settings, ground.ways.get(name).cloned(), ground.worker);
            Rc::clone(known)
        } else {
            let series = ground.telemetry.upstream(name);
            let way = ground.ways.get(name).cloned();
            let deadlines = Rc::clone(ground.deadlines);
            Rc::new(Upstream::new(settings.clone(), way, series, deadlines, ground.worker))
        };
        (name.clone(), upstream)
    };
    snapshot.upstreams.iter().map(ready).collect()
}

/// The endpoints of a static upstream, given the addresses of each of its hosts.
pub(crate) fn static_endpoints(
    hosts: &[(StaticEndpoint, Vec<Address>)],
    mut load: impl FnMut(&Address) -> Arc<Load>,
) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for (host, addresses) in hosts {
        for address in addresses {
            if endpoints.iter().any(|known| known.address == *address) {
                continue;
            }
            let name = match &host.address {
                StaticAddress::Host { host, .. } if host.parse::<IpAddr>().is_err() => {
                    Some(host.as_str().into())
                }
                _ => None,
            };
            let found = endpoint(address.clone(), load(address));
            endpoints.push(Endpoint { host: name, weight: host.weight, ..found });
        }
    }
    endpoints
}

/// What is known of an endpoint by its address alone.
pub(crate) fn endpoint(address: Address, load: Arc<Load>) -> Endpoint {
    // An address is no name (it has colons); what matters is that it stays the same.
    let id = match &address {
        Address::Ip(address) => address.to_string().replace([':', '[', ']'], "-"),
        Address::Unix(_) => "unix".to_owned(),
    };
    let id = InstanceId::new(&id).expect("an address without its colons is a name");
    Endpoint { id, address, host: None, weight: NonZeroU32::MIN, load }
}
