//! Warnings: what is right by itself and yet can do nothing.
//!
//! Only a configuration without errors gets them, so that a misspelt name is not told twice.

use std::collections::{BTreeSet, HashMap};

use tidegate_core::{
    Snapshot,
    snapshot::{Match, PathMatch, Upstream, UpstreamTarget},
};

use crate::{
    raw,
    report::{Place, Report},
};

pub(crate) fn warn(raw: &raw::File, snapshot: &Snapshot, report: &mut Report<'_>) {
    unused_fleets(raw, snapshot, report);
    unused_upstreams(raw, snapshot, report);
    hidden_routes(raw, snapshot, report);
    if snapshot.routes.is_empty() {
        report.warning(
            Place::START,
            "there are no routes",
            "every request will be answered with 404; add `routes:`",
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
        if let Some(name) = entry.name.as_ref().filter(|name| !used.contains(name)) {
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
    let mut first = HashMap::new();
    let items = raw.routes.value().into_iter().flat_map(|routes| &routes.0);
    for (route, item) in snapshot.routes.iter().zip(items) {
        let cases = cases(&route.matcher);
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

/// One case for each host and method.
fn cases(matcher: &Match) -> Vec<String> {
    let path = match &matcher.path {
        PathMatch::Exact(path) => format!("={path}"),
        PathMatch::Prefix(path) => format!("^{path}"),
        PathMatch::Regex(regex) => format!("~{regex}"),
    };
    let mut headers: Vec<_> = matcher.headers.iter().map(|header| (&header.name, &header.value)).collect();
    headers.sort();
    headers.dedup();
    let rest = format!("{path:?} {headers:?}");
    let hosts = matcher.hosts.iter().map(|host| format!("{host:?}"));
    let or_any = |mut texts: Vec<String>| {
        if texts.is_empty() {
            texts.push("any".into());
        }
        texts
    };
    let methods = or_any(matcher.methods.clone());
    or_any(hosts.collect())
        .iter()
        .flat_map(|host| methods.iter().map(move |method| format!("{host} {method}")))
        .map(|case| format!("{case} {rest}"))
        .collect()
}
