//! Warnings: what is right by itself and yet can do nothing, or should not be where others are served.
//!
//! Only a configuration without errors gets them, so that a misspelt name is not told twice.

use std::collections::{BTreeSet, HashMap};

use tidegate_core::{
    Snapshot,
    snapshot::{HostMatch, Match, PathMatch, Run, Upstream, UpstreamTarget},
};

use crate::{
    raw,
    report::{Place, Report},
};

/// Most pairs of a host and a method of one route that is looked at.
const MAX_CASES: usize = 100;

pub(crate) fn warn(raw: &raw::File, snapshot: &Snapshot, report: &mut Report<'_>) {
    for_development(raw, snapshot, report);
    unused_fleets(raw, snapshot, report);
    unused_upstreams(raw, snapshot, report);
    hidden_routes(raw, snapshot, report);
    let works = snapshot.fleets.values().any(|fleet| matches!(fleet.run, Run::Worker(_)));
    if snapshot.routes.is_empty() && !works {
        report.warning(
            Place::START,
            "there are no routes",
            "every request will be answered with 404; add `routes:`",
        );
    }
}

/// What helps those who write scripts, and does not belong where others are served.
fn for_development(raw: &raw::File, snapshot: &Snapshot, report: &mut Report<'_>) {
    let place = |given: Option<Place>| given.unwrap_or(Place::START);
    if !snapshot.lua.code_cache {
        let at = raw.lua.value().and_then(|lua| lua.code_cache.given()).map(|given| given.place);
        report.warning(
            place(at),
            "`codeCache: false` is for development: every request loads all of its code anew",
            "leave it out where others are served",
        );
    }
    if snapshot.answers.shows_lua_errors {
        let at = raw.answers.value().and_then(|answers| answers.lua_errors.given()).map(|given| given.place);
        report.warning(
            place(at),
            "`luaErrors: true` is for development: errors show code to clients",
            "leave it out where others are served",
        );
    }
}

fn unused_fleets(raw: &raw::File, snapshot: &Snapshot, report: &mut Report<'_>) {
    let fleet_of = |upstream: &Upstream| match &upstream.target {
        UpstreamTarget::Fleet(fleet) => Some(fleet.clone()),
        UpstreamTarget::Endpoints(_) => None,
    };
    let used: BTreeSet<_> = snapshot.upstreams.values().filter_map(fleet_of).collect();
    let fleets = raw.fleets.value().into_iter().flat_map(|fleets| &fleets.0);
    for entry in fleets {
        // Workers get their work from elsewhere, and others may be there for a source alone.
        let by_source = |name| {
            let fleet = &snapshot.fleets[name];
            let looks = fleet.policy.triggers.iter().any(|trigger| !trigger.sources().is_empty());
            looks || matches!(fleet.run, Run::Worker(_))
        };
        if let Some(name) = entry.name.as_ref().filter(|name| !used.contains(name) && !by_source(*name)) {
            let help = format!("add an upstream with `fleet: {name}`, or remove the fleet");
            report.warning(entry.place, format!("no upstream uses the fleet `{name}`"), help);
        }
    }
}

fn unused_upstreams(raw: &raw::File, snapshot: &Snapshot, report: &mut Report<'_>) {
    let used: BTreeSet<_> = snapshot.routes.iter().filter_map(|route| route.upstream.as_ref()).collect();
    let upstreams = raw.upstreams.value().into_iter().flat_map(|upstreams| &upstreams.0);
    for entry in upstreams {
        if let Some(name) = entry.name.as_ref().filter(|name| !used.contains(name)) {
            let help = format!("add a route with `upstream: {name}`, or remove the upstream");
            report.warning(entry.place, format!("no route uses the upstream `{name}`"), help);
        }
    }
}

/// A route is hidden when for each of its hosts and methods an earlier one has the same match. Routes with
/// equally many conditions are tried in the order of the file, so splitting by host and method is exact.
fn hidden_routes(raw: &raw::File, snapshot: &Snapshot, report: &mut Report<'_>) {
    let mut conditions = HashMap::new();
    let mut first = HashMap::new();
    let items = raw.routes.value().into_iter().flat_map(|routes| &routes.0);
    for (route, item) in snapshot.routes.iter().zip(items) {
        let matcher = &route.matcher;
        if matcher.name.is_some() {
            continue;
        }
        if matcher.hosts.len().max(1) * matcher.methods.len().max(1) > MAX_CASES {
            continue;
        }
        let next = conditions.len();
        let conditions = *conditions.entry(path_and_headers(matcher)).or_insert(next);
        let cases: Vec<_> = cases(matcher).map(|(host, method)| (host, method, conditions)).collect();
        let earlier: Vec<_> = cases.iter().filter_map(|case| first.get(case).copied()).collect();
        if let (true, Some(by)) = (earlier.len() == cases.len(), earlier.first()) {
            let place =
                item.value.as_ref().and_then(|raw| raw.name.given()).map_or(item.place, |name| name.place);
            let message =
                format!("the route `{}` can never match: `{by}` above matches the same", route.name);
            report.warning(place, message, "remove it, or change what one of them matches");
        }
        for case in cases {
            first.entry(case).or_insert(&route.name);
        }
    }
}

/// Each host with each method; `None` is any.
fn cases(matcher: &Match) -> impl Iterator<Item = (Option<(bool, &str)>, Option<&str>)> {
    let hosts = or_any(matcher.hosts.iter().map(host_key));
    let methods = or_any(matcher.methods.iter().map(String::as_str));
    hosts.into_iter().flat_map(move |host| methods.clone().into_iter().map(move |method| (host, method)))
}

/// Whether it is a suffix, and its text.
fn host_key(host: &HostMatch) -> (bool, &str) {
    match host {
        HostMatch::Exact(name) => (false, name),
        HostMatch::Suffix(suffix) => (true, suffix),
    }
}

fn or_any<T>(items: impl Iterator<Item = T>) -> Vec<Option<T>> {
    let mut items: Vec<_> = items.map(Some).collect();
    if items.is_empty() {
        items.push(None);
    }
    items
}

fn path_and_headers(matcher: &Match) -> String {
    let path = match &matcher.path {
        PathMatch::Exact(path) => format!("={path}"),
        PathMatch::Prefix(path) => format!("^{path}"),
        PathMatch::Regex(regex) => format!("~{regex}"),
    };
    let mut headers: Vec<_> = matcher.headers.iter().map(|header| (&header.name, &header.value)).collect();
    headers.sort();
    headers.dedup();
    format!("{path:?} {headers:?}")
}
