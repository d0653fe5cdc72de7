//! A snapshot, made ready for one worker: routes arranged for lookup, Lua compiled, counters found.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    rc::Rc,
    sync::Arc,
};

use tidegate_core::{
    Endpoint, InstanceId, RouteId, Snapshot, Telemetry, UpstreamId,
    roster::Load,
    snapshot::{self, Assignment, Budget, LocalAnswer, Script, StaticEndpoint, Template},
    telemetry::Series,
};
use tidegate_lua::{Handler, Purpose, Trust, Vm, flame::Label};
use tidegate_traffic::Router;

use crate::{deadline::Deadlines, http::fields::is_value, upstream::Upstream};

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
    pub(crate) server_rewrite: Option<Handler>,
    /// All variables that are defined anywhere.
    pub(crate) names: HashSet<String>,
    /// Routes by the name to go to, `@` included.
    pub(crate) places: HashMap<String, usize>,
    /// Compiled once for all routes that use them, and carried over to the next site.
    handlers: HashMap<(Script, Purpose, Trust), Handler>,
}

/// What a variable is set to.
#[derive(Debug)]
pub(crate) enum Value {
    Text(Template),
    /// What a script returns that is given these.
    Lua(Handler, Vec<Template>),
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
    pub(crate) rewrite: Option<Handler>,
    pub(crate) access: Option<Handler>,
    pub(crate) precontent: Option<Handler>,
    pub(crate) balancer: Option<Handler>,
    pub(crate) content: Option<Handler>,
    pub(crate) header_filter: Option<Handler>,
    pub(crate) body_filter: Option<Handler>,
    pub(crate) log: Option<Handler>,
}

/// What a site is built with.
pub(crate) struct Ground<'a> {
    pub(crate) worker: usize,
    pub(crate) telemetry: &'a Telemetry,
    pub(crate) vm: &'a Rc<Vm>,
    pub(crate) deadlines: &'a Rc<Deadlines>,
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
            names: names(snapshot),
            places: places(&snapshot.routes),
            handlers: HashMap::new(),
            snapshot: Arc::clone(snapshot),
            vm: Rc::clone(ground.vm),
        };
        if let Some(script) = &snapshot.lua.server_rewrite {
            site.server_rewrite = Some(site.handler(
                script,
                Purpose::Phase,
                trust(snapshot.lua.sandbox),
                ground.vm,
                previous,
            )?);
        }
        site.vars = site.values(&snapshot.vars, trust(snapshot.lua.sandbox), ground.vm, previous)?;
        for route in &snapshot.routes {
            let trust = trust(route.sandbox);
            let mut load = |script: &Option<Script>| {
                let load = |script| site.handler(script, Purpose::Phase, trust, ground.vm, previous);
                script.as_ref().map(load).transpose()
            };
            let rewrite = load(&route.hooks.rewrite)?;
            let access = load(&route.hooks.access)?;
            let precontent = load(&route.hooks.precontent)?;
            let balancer = load(&route.hooks.balancer)?;
            let content = load(&route.hooks.content)?;
            let header_filter = load(&route.hooks.header_filter)?;
            let body_filter = load(&route.hooks.body_filter)?;
            let log = load(&route.hooks.log)?;
            let vars = site.values(&route.vars, trust, ground.vm, previous)?;
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

    fn handler(
        &mut self,
        script: &Script,
        purpose: Purpose,
        trust: Trust,
        vm: &Rc<Vm>,
        previous: Option<&Self>,
    ) -> Result<Handler, tidegate_lua::Error> {
        let key = (script.clone(), purpose, trust);
        if let Some(known) = self.handlers.get(&key) {
            return Ok(known.clone());
        }
        // What was compiled in another VM cannot run in this one.
        let previous = previous.filter(|site| Rc::ptr_eq(&site.vm, vm));
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
        trust: Trust,
        vm: &Rc<Vm>,
        previous: Option<&Self>,
    ) -> Result<Vec<(String, Value)>, tidegate_lua::Error> {
        let mut value = |value: &snapshot::Value| match value {
            snapshot::Value::Text(text) => Ok(Value::Text(text.clone())),
            snapshot::Value::Lua { script, args } => {
                let handler = self.handler(script, Purpose::Variable, trust, vm, previous)?;
                Ok(Value::Lua(handler, args.clone()))
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
            known.update(settings, ground.worker);
            Rc::clone(known)
        } else {
            let series = ground.telemetry.upstream(name);
            Rc::new(Upstream::new(settings.clone(), series, Rc::clone(ground.deadlines), ground.worker))
        };
        (name.clone(), upstream)
    };
    snapshot.upstreams.iter().map(ready).collect()
}

/// The endpoints of a static upstream, given the addresses of each of its hosts.
pub(crate) fn static_endpoints(
    hosts: &[(StaticEndpoint, Vec<SocketAddr>)],
    mut load: impl FnMut(SocketAddr) -> Arc<Load>,
) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for (host, addresses) in hosts {
        for &address in addresses {
            if endpoints.iter().any(|known| known.address == address) {
                continue;
            }
            endpoints.push(Endpoint { weight: host.weight, ..endpoint(address, load(address)) });
        }
    }
    endpoints
}

/// What is known of an endpoint by its address alone.
pub(crate) fn endpoint(address: SocketAddr, load: Arc<Load>) -> Endpoint {
    // An address is no name (it has colons); what matters is that it stays the same.
    let id = address.to_string().replace([':', '[', ']'], "-");
    let id = InstanceId::new(&id).expect("an address without its colons is a name");
    Endpoint { id, address, weight: NonZeroU32::MIN, load }
}
