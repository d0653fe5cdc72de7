//! Upstreams and routes.

use std::{collections::HashMap, num::NonZeroU32};

use tidegate_core::{
    FleetId, RouteId, UpstreamId,
    snapshot::{
        Balance, Budget, FixedAnswer, HeaderMatch, HostMatch, LocalAnswer, Match, PathMatch, Retry, Route,
        StaticAddress, StaticEndpoint, StaticFiles, Template, Upstream, UpstreamTarget, Waiting,
    },
};

use crate::{
    decode::{Field, List, Located},
    leaf::pattern::PathPattern,
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
        let tls = self.upstream_tls(&raw.tls);
        let (target, balance) = match fleet {
            Some(fleet) => (UpstreamTarget::Fleet(fleet), Balance::LeastConnections),
            None => (UpstreamTarget::Endpoints(endpoints?), Balance::RoundRobin),
        };
        let balance = raw.balance.optional()?.map_or(balance, |given| given.value);
        Some(Upstream { name: name.clone(), target, balance, retry: retry?, tls: tls? })
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
            let (address, weight) = match endpoint {
                route::Endpoint::Plain(address) => (address, 1),
                route::Endpoint::Weighted(raw) => (raw.address.value()?, raw.weight.value()?.as_u32()),
            };
            if let Some(line) = seen.insert(address.clone(), place.line) {
                let message = format!("the endpoint `{address}` is given twice");
                self.report.error(
                    place,
                    message,
                    format!("the first is in line {line}; use `weight` for a larger share"),
                );
            }
            let address = match address {
                StaticAddress::Unix(path) => StaticAddress::Unix(self.scripts.locate(path).into()),
                host @ StaticAddress::Host { .. } => host.clone(),
            };
            Some(StaticEndpoint { address, weight: NonZeroU32::new(weight)? })
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
        self.one_answer(raw, place);
        let hooks = raw.lua.value();
        let options = hooks.and_then(|hooks| self.options(hooks));
        let hooks = hooks.and_then(|hooks| self.hooks(hooks));
        let vars = raw.vars.value().and_then(|vars| self.vars(vars));
        let matcher = raw.r#match.value().and_then(|raw| self.matcher(raw));
        let local = self.local(raw);
        let upstream = raw.upstream.optional()?.map(|upstream| upstream.value.clone());
        let Options {
            need_request_body,
            check_client_abort,
            default_type,
            use_default_type,
            sandbox,
            budget,
        } = options?;
        Some(Route {
            name: name?,
            matcher: matcher?,
            upstream,
            local: local?,
            hooks: hooks?,
            internal: *raw.internal.value()?,
            vars: vars?,
            need_request_body,
            check_client_abort,
            default_type,
            use_default_type,
            queue: Waiting {
                priority: u8::try_from(raw.queue.value()?.priority.value()?.as_u32()).ok()?,
                timeout: raw.queue.value()?.timeout.optional()?.map(|timeout| timeout.value.0),
            },
            sandbox,
            budget,
        })
    }

    /// Reports when not exactly one thing answers.
    fn one_answer(&mut self, raw: &raw::Route, place: Place) {
        let Some(hooks) = raw.lua.value() else { return };
        let given = [
            ("upstream", raw.upstream.given().map(|given| given.place), raw.upstream.is_absent()),
            ("return", raw.r#return.given().map(|given| given.place), raw.r#return.is_absent()),
            ("static", raw.r#static.given().map(|given| given.place), raw.r#static.is_absent()),
            ("lua.content", hooks.content.given().map(|given| given.place), hooks.content.is_absent()),
        ];
        if given.iter().all(|(_, _, absent)| *absent) {
            let help = "add one of `upstream`, `lua.content`, `return` and `static`";
            self.report.error(place, "nothing answers the requests of the route", help);
        }
        if let Some(balancer) = hooks.balancer.given()
            && raw.upstream.is_absent()
        {
            let help = "give the route an `upstream`, or remove `balancer`";
            self.report.error(balancer.place, "there is no upstream for which `balancer` could choose", help);
        }
        let mut chosen = given.iter().filter_map(|(key, place, _)| place.map(|place| (key, place)));
        if let Some((first, _)) = chosen.next() {
            for (key, place) in chosen {
                let message = format!("`{first}` and `{key}` exclude each other");
                self.report.error(place, message, "remove one of them");
            }
        }
    }

    #[expect(clippy::option_option, reason = "no answer differs from a broken one")]
    fn local(&mut self, raw: &raw::Route) -> Option<Option<LocalAnswer>> {
        if let Some(fixed) = raw.r#return.optional()? {
            return fixed_answer(&fixed.value).map(|fixed| Some(LocalAnswer::Fixed(fixed)));
        }
        let Some(files) = raw.r#static.optional()? else { return Some(None) };
        let root = self.scripts.locate(&files.value.root.value()?.0);
        Some(Some(LocalAnswer::Files(StaticFiles { root, index: files.value.index.value()?.0.clone() })))
    }

    fn options(&self, raw: &route::Hooks) -> Option<Options> {
        let root = self.raw.lua.value()?;
        Some(Options {
            need_request_body: overruled(&root.need_request_body, &raw.need_request_body)?,
            check_client_abort: overruled(&root.check_client_abort, &raw.check_client_abort)?,
            default_type: overruled(&root.default_type, &raw.default_type)?.0,
            use_default_type: overruled(&root.use_default_type, &raw.use_default_type)?,
            sandbox: overruled(&root.sandbox, &raw.sandbox)?,
            budget: route_budget(raw.budget.value()?)?,
        })
    }

    fn matcher(&mut self, raw: &route::Match) -> Option<Match> {
        exclude(("host", &raw.host), ("hosts", &raw.hosts), self.report);
        let name = raw.name.optional()?.map(|name| name.value.0.clone());
        let path = raw.path.given().and_then(|path| self.path(path));
        let hosts = hosts(raw);
        let methods = raw.methods.value().and_then(|list| list.resolve(|method, _| Some(method.0.clone())));
        let headers = raw.headers.value().and_then(headers);
        Some(Match { name, hosts: hosts?, path: path?, methods: methods?, headers: headers? })
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

/// What routes inherit from the whole file, and what bounds them.
#[expect(clippy::struct_excessive_bools, reason = "independent settings")]
struct Options {
    need_request_body: bool,
    check_client_abort: bool,
    default_type: String,
    use_default_type: bool,
    sandbox: bool,
    budget: Budget,
}

fn route_budget(raw: &raw::lua::RouteBudget) -> Option<Budget> {
    Some(Budget { cpu: raw.cpu.value()?.0, memory_bytes: raw.memory.value()?.0 })
}

fn overruled<T: Clone>(whole: &Field<T>, own: &Field<T>) -> Option<T> {
    match own.optional()? {
        Some(own) => Some(own.value.clone()),
        None => whole.value().cloned(),
    }
}

fn fixed_answer(raw: &route::Return) -> Option<FixedAnswer> {
    let headers = raw.headers.value()?.0.iter().map(|entry| {
        let (name, value) = entry.name.as_ref().zip(entry.value.as_ref())?;
        Some((name.0.clone(), Template::parse(&value.0)))
    });
    Some(FixedAnswer {
        status: u16::try_from(raw.status.value()?.0).ok()?,
        headers: headers.collect::<Option<_>>()?,
        body: Template::parse(&raw.body.value()?.0),
    })
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
            names.resolve(|name, _| Some(HeaderMatch { name: name.0.to_ascii_lowercase(), value: None }))
        }
        route::Headers::Values(values) => {
            let all = values.0.iter().map(|entry| {
                let (name, value) = entry.name.as_ref().zip(entry.value.as_ref())?;
                Some(HeaderMatch { name: name.0.to_ascii_lowercase(), value: Some(value.0.clone()) })
            });
            all.collect()
        }
    }
}
