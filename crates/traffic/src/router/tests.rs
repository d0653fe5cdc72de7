use proptest::prelude::*;
use regex::Regex;
use tidegate_core::{RouteId, UpstreamId, snapshot::Match};

use super::*;

fn route(hosts: &[&str], path: &str, methods: &[&str], headers: &[(&str, Option<&str>)]) -> Route {
    let host = |name: &&str| match name.strip_prefix('*') {
        Some(suffix) => HostMatch::Suffix(suffix.into()),
        None => HostMatch::Exact((*name).into()),
    };
    let path = match path.strip_prefix("~ ") {
        Some(pattern) => PathMatch::Regex(Regex::new(pattern).unwrap()),
        None => match path.strip_suffix('*') {
            Some(prefix) => PathMatch::Prefix(prefix.into()),
            None => PathMatch::Exact(path.into()),
        },
    };
    let header = |&(name, value): &(&str, Option<&str>)| HeaderMatch {
        name: name.into(),
        value: value.map(String::from),
    };
    Route {
        matcher: Match {
            name: None,
            hosts: hosts.iter().map(host).collect(),
            path,
            methods: methods.iter().map(ToString::to_string).collect(),
            headers: headers.iter().map(header).collect(),
        },
        upstream: Some(UpstreamId::new("u").unwrap()),
        ..Route::new(RouteId::new("r").unwrap())
    }
}

fn find(routes: &[Route], method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Option<usize> {
    let header = |name: &str| headers.iter().find(|(one, _)| *one == name).map(|(_, value)| value.as_bytes());
    let request =
        Request { host: host.as_bytes(), path: path.as_bytes(), method: method.as_bytes(), header: &header };
    Router::new(routes).find(&request)
}

#[test]
fn exact_beats_regex_beats_longest_prefix() {
    let routes = [
        route(&[], "/*", &[], &[]),
        route(&[], "/a/*", &[], &[]),
        route(&[], r"~ ^/a/\d+$", &[], &[]),
        route(&[], "/a/7", &[], &[]),
    ];
    let at = |path| find(&routes, "GET", "x", path, &[]);
    assert_eq!(at("/a/7"), Some(3));
    assert_eq!(at("/a/8"), Some(2));
    assert_eq!(at("/a/b/c"), Some(1));
    assert_eq!(at("/a"), Some(1));
    assert_eq!(at("/ab"), Some(0));
    assert_eq!(at("/"), Some(0));
}

#[test]
fn a_prefix_ends_at_a_segment() {
    let routes = [route(&[], "/orders/*", &[], &[])];
    let at = |path| find(&routes, "GET", "x", path, &[]);
    assert_eq!(at("/orders"), Some(0));
    assert_eq!(at("/orders/"), Some(0));
    assert_eq!(at("/orders/1"), Some(0));
    assert_eq!(at("/orders2"), None);
}

#[test]
fn hosts_match_without_case_port_and_final_dot() {
    let routes =
        [route(&["a.com"], "/*", &[], &[]), route(&["*.a.com"], "/*", &[], &[]), route(&[], "/*", &[], &[])];
    let at = |host| find(&routes, "GET", host, "/", &[]);
    assert_eq!(at("A.com:8080"), Some(0));
    assert_eq!(at("a.com."), Some(0));
    assert_eq!(at("x.a.com"), Some(1));
    assert_eq!(at(".a.com"), Some(2));
    assert_eq!(at("b.com"), Some(2));
    assert_eq!(at("[::1]:80"), Some(2));
}

#[test]
fn the_longest_suffix_wins() {
    let routes = [route(&["*.com"], "/*", &[], &[]), route(&["*.a.com"], "/*", &[], &[])];
    assert_eq!(find(&routes, "GET", "x.a.com", "/", &[]), Some(1));
}

#[test]
fn a_route_that_does_not_fit_is_passed_over() {
    let routes = [
        route(&["a.com"], "/x", &["POST"], &[]),
        route(&[], "/x", &[], &[("x-version", Some("2"))]),
        route(&[], "/*", &[], &[("authorization", None)]),
    ];
    assert_eq!(find(&routes, "POST", "a.com", "/x", &[]), Some(0));
    assert_eq!(find(&routes, "GET", "a.com", "/x", &[("x-version", "2")]), Some(1));
    assert_eq!(find(&routes, "GET", "a.com", "/x", &[("authorization", "b")]), Some(2));
    assert_eq!(find(&routes, "GET", "a.com", "/x", &[]), None);
}

#[test]
fn more_conditions_come_first() {
    let routes =
        [route(&[], "/x", &[], &[]), route(&[], "/x", &["GET"], &[]), route(&[], "/x", &["GET"], &[])];
    assert_eq!(find(&routes, "GET", "a", "/x", &[]), Some(1));
    assert_eq!(find(&routes, "PUT", "a", "/x", &[]), Some(0));
}

/// The documented precedence, computed by ranking every route that fits.
fn naive(routes: &[Route], method: &str, host: &str, path: &str) -> Option<usize> {
    let fits = |(index, route): (usize, &Route)| {
        let matcher = &route.matcher;
        let path_rank = match &matcher.path {
            PathMatch::Exact(one) => (one == path).then_some((0, 0, 0))?,
            PathMatch::Regex(regex) => regex.is_match(path).then_some((1, index, 0))?,
            PathMatch::Prefix(prefix) => (path.starts_with(prefix.as_str())
                || path == &prefix[..prefix.len() - 1])
                .then_some((2, usize::MAX - prefix.len(), 0))?,
        };
        if !matcher.methods.is_empty() && !matcher.methods.iter().any(|one| one == method) {
            return None;
        }
        let host_rank = if matcher.hosts.is_empty() {
            Some(usize::MAX)
        } else {
            let rank = |one: &HostMatch| match one {
                HostMatch::Exact(name) => (name == host).then_some(0),
                HostMatch::Suffix(suffix) => (host.len() > suffix.len() && host.ends_with(suffix.as_str()))
                    .then_some(usize::MAX - 1 - suffix.len()),
            };
            matcher.hosts.iter().filter_map(rank).min()
        }?;
        let conditions = usize::from(!matcher.methods.is_empty());
        Some(((host_rank, path_rank, usize::MAX - conditions, index), index))
    };
    routes.iter().enumerate().filter_map(fits).min().map(|(_, index)| index)
}

proptest! {
    #[test]
    fn lookup_agrees_with_ranking_all_routes(
        specs in prop::collection::vec(
            (
                prop::sample::subsequence(vec!["a.com", "b.a.com", "*.a.com", "*.com"], 0..3),
                prop::sample::select(vec!["/*", "/x/*", "/x/y/*", "/x", "/x/y", "~ ^/x", "~ y$"]),
                prop::sample::subsequence(vec!["GET", "POST"], 0..2),
            ),
            0..12,
        ),
        host in prop::sample::select(vec!["a.com", "b.a.com", "c.com", "d.org"]),
        path in prop::sample::select(vec!["/", "/x", "/x/y", "/x/y/z", "/xy", "/z"]),
        method in prop::sample::select(vec!["GET", "POST", "PUT"]),
    ) {
        let routes: Vec<_> = specs.iter().map(|(hosts, path, methods)| route(hosts, path, methods, &[])).collect();
        prop_assert_eq!(find(&routes, method, host, path, &[]), naive(&routes, method, host, path));
    }
}
