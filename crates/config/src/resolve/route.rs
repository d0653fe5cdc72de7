//! Upstreams and routes.

use std::{collections::HashMap, num::NonZeroU32};

use tidegate_core::{
    FleetId, RouteId, UpstreamId,
    snapshot::{
        Balance, HeaderMatch, Hooks, HostMatch, Match, PathMatch, Retry, Route, Script, StaticEndpoint,
        Upstream, UpstreamTarget,
    },
};

use crate::{
    decode::{Field, List, Located},
    leaf::{address::HostPort, pattern::PathPattern, text::Code},
    raw::{self, route},
    report::Place,
    resolve::{Resolver, exclude, look_up},
};

impl Resolver<'_, '_> {
    pub(super) fn upstream(
        &mut self,
        name: &UpstreamId,
        place: Place,
        raw: &raw::Upstream,
    ) -> Option<Upstream> {
        exclude(("fleet", &raw.fleet), ("endpoints", &raw.endpoints), self.report);
        if raw.fleet.is_absent() && raw.endpoints.is_absent() {
            let message = format!("upstream `{name}` has neither `fleet` nor `endpoints`");
            self.report.error(place, message, "add one, like `endpoints: [10.0.0.5:8080]`");
        }
        let fleet = self.fleet_name(&raw.fleet);
        let endpoints = raw.endpoints.given().and_then(|list| self.endpoints(list));
        let retry = raw.retry.value().and_then(retry);
        let (target, balance) = match fleet {
            Some(fleet) => (UpstreamTarget::Fleet(fleet), Balance::LeastConnections),
            None => (UpstreamTarget::Endpoints(endpoints?), Balance::RoundRobin),
        };
        let balance = raw.balance.optional()?.map_or(balance, |given| given.value);
        Some(Upstream { name: name.clone(), target, balance, retry: retry? })
    }

    fn fleet_name(&mut self, raw: &Field<FleetId>) -> Option<FleetId> {
        let name = raw.given()?;
        look_up(name, self.fleets.as_ref(), self.report);
        Some(name.value.clone())
    }

    fn endpoints(&mut self, raw: &Located<List<route::Endpoint>>) -> Option<Vec<StaticEndpoint>> {
        if raw.value.is_empty() {
            self.report.error(raw.place, "no endpoints", "add one, like `10.0.0.5:8080`");
        }
        let mut seen = HashMap::new();
        raw.value.resolve(|endpoint, place| {
            let (HostPort { host, port }, weight) = match endpoint {
                route::Endpoint::Plain(address) => (address.clone(), 1),
                route::Endpoint::Weighted(raw) => {
                    (raw.address.value()?.clone(), raw.weight.value()?.as_u32())
                }
            };
            if let Some(line) = seen.insert((host.clone(), port), place.line) {
                let message = format!("the endpoint `{host}:{port}` is given twice");
                self.report.error(
                    place,
                    message,
                    format!("the first is in line {line}; use `weight` for a larger share"),
                );
            }
            Some(StaticEndpoint { host, port, weight: NonZeroU32::new(weight)? })
        })
    }

    pub(super) fn routes(&mut self) -> Option<Vec<Route>> {
        let mut names = HashMap::new();
        let routes = self.raw.routes.value()?.0.iter().zip(1..);
        let all: Vec<_> = routes
            .map(|(item, position)| {
                let raw = item.value.as_ref()?;
                let name = self.route_name(raw, position, item.place, &mut names);
                self.route(raw, item.place, name)
            })
            .collect();
        all.into_iter().collect()
    }

    fn route_name(
        &mut self,
        raw: &raw::Route,
        position: usize,
        route: Place,
        seen: &mut HashMap<RouteId, usize>,
    ) -> Option<RouteId> {
        let (name, place) = match raw.name.optional()? {
            Some(Located { value, place }) => (value.clone(), *place),
            None => (RouteId::new(&format!("route-{position}")).ok()?, route),
        };
        if let Some(line) = seen.insert(name.clone(), place.line) {
            let message = format!("two routes have the name `{name}`");
            self.report.error(
                place,
                message,
                format!("the first is in line {line}; name this one differently"),
            );
        }
        Some(name)
    }

    fn route(&mut self, raw: &raw::Route, place: Place, name: Option<RouteId>) -> Option<Route> {
        if let Some(upstream) = raw.upstream.given() {
            look_up(upstream, self.upstreams.as_ref(), self.report);
        }
        let hooks = raw.lua.value();
        if let Some(hooks) = hooks {
            exclude(("upstream", &raw.upstream), ("lua.content", &hooks.content), self.report);
            if raw.upstream.is_absent() && hooks.content.is_absent() {
                let help = "name the upstream that answers, or the Lua that does";
                self.report.error(place, "the route has neither `upstream` nor `lua.content`", help);
            }
        }
        let hooks = hooks.and_then(|hooks| self.hooks(hooks));
        let matcher = raw.r#match.value().and_then(|raw| self.matcher(raw));
        let upstream = raw.upstream.optional()?.map(|upstream| upstream.value.clone());
        Some(Route { name: name?, matcher: matcher?, upstream, hooks: hooks? })
    }

    fn hooks(&mut self, raw: &route::Hooks) -> Option<Hooks> {
        let access = self.hook(&raw.access);
        let content = self.hook(&raw.content);
        let header_filter = self.hook(&raw.header_filter);
        let log = self.hook(&raw.log);
        Some(Hooks { access: access?, content: content?, header_filter: header_filter?, log: log? })
    }

    #[expect(clippy::option_option, reason = "no hook differs from a broken one")]
    fn hook(&mut self, raw: &Field<Code>) -> Option<Option<Script>> {
        match raw.optional()? {
            Some(code) => self.scripts.code(code, self.report).map(Some),
            None => Some(None),
        }
    }

    fn matcher(&mut self, raw: &route::Match) -> Option<Match> {
        exclude(("host", &raw.host), ("hosts", &raw.hosts), self.report);
        let path = raw.path.given().and_then(|path| self.path(path));
        let hosts = hosts(raw);
        let methods = raw.methods.value().and_then(|list| list.resolve(|method, _| Some(method.0.clone())));
        let headers = raw.headers.value().and_then(headers);
        Some(Match { hosts: hosts?, path: path?, methods: methods?, headers: headers? })
    }

    fn path(&mut self, raw: &Located<PathPattern>) -> Option<PathMatch> {
        Some(match &raw.value {
            PathPattern::Exact(path) => PathMatch::Exact(path.clone()),
            PathPattern::Prefix(path) => PathMatch::Prefix(path.clone()),
            PathPattern::Regex(regex) => {
                PathMatch::Regex(self.regexes.compile(regex, raw.place, self.report)?)
            }
        })
    }
}

fn retry(raw: &route::Retry) -> Option<Retry> {
    Some(Retry {
        attempts: raw.attempts.value()?.as_u32(),
        budget: raw.budget.value()?.0,
        min_per_second: raw.min_per_second.value()?.as_u32(),
    })
}

fn hosts(raw: &route::Match) -> Option<Vec<HostMatch>> {
    let one = raw.host.optional()?.map(|host| host.value.clone());
    match raw.hosts.optional()? {
        Some(hosts) => hosts.value.resolve(|host, _| Some(host.clone())),
        None => Some(one.into_iter().collect()),
    }
}

fn headers(raw: &route::Headers) -> Option<Vec<HeaderMatch>> {
    match raw {
        route::Headers::Names(names) => {
            names.resolve(|name, _| Some(HeaderMatch { name: name.0.clone(), value: None }))
        }
        route::Headers::Values(values) => {
            let all = values.0.iter().map(|entry| {
                let (name, value) = entry.name.as_ref().zip(entry.value.as_ref())?;
                Some(HeaderMatch { name: name.0.clone(), value: Some(value.0.clone()) })
            });
            all.collect()
        }
    }
}
