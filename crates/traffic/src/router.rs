//! Finds the route of a request.
//!
//! Order of precedence, which does not depend on the order of the file except for the last point:
//!
//! 1. host: an exact name, then the longest `*.suffix`, then routes without a host;
//! 2. path: exact, then regular expressions in the order of the file, then the longest prefix;
//! 3. the route with more conditions (methods count as one, every header as one);
//! 4. the order of the file.
//!
//! A route with a name to go to is found by that alone, and never here.
//! A route whose other conditions fail is passed over and the search goes on, also from one host
//! group to the next. Exact names, exact paths and prefixes are found by hashing, so a thousand
//! routes cost no more than ten; only regular expressions are tried one by one.

use std::collections::HashMap;

use tidegate_core::snapshot::{HeaderMatch, HostMatch, PathMatch, Route};

use crate::table::Table;

/// What of a request routes can depend on.
pub struct Request<'a> {
    /// As received, with or without a port.
    pub host: &'a [u8],
    /// Normalized by [`crate::path::normalize`].
    pub path: &'a [u8],
    pub method: &'a [u8],
    /// The first header of that (lower-case) name.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, path, method, .. } = self;
        let text = String::from_utf8_lossy;
        write!(f, "{} {}{}", text(method), text(host), text(path))
    }
}

/// All routes of a snapshot, arranged for lookup. Answers with the index of the route.
#[derive(Debug, Default)]
pub struct Router {
    hosts: HashMap<String, Paths>,
    /// Longest first; each starts with a dot.
    suffixes: Vec<(String, Paths)>,
    any_host: Paths,
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Paths {
    exact: Table<Vec<Candidate>>,
    regexes: Vec<(regex::Regex, Candidate)>,
    /// Keyed without the final slash, so that the root is the empty key.
    prefixes: Table<Vec<Candidate>>,
}

/// A route, and what remains to be checked once host and path match.
#[derive(Debug, Clone)]
struct Candidate {
    route: usize,
    methods: Vec<String>,
    headers: Vec<HeaderMatch>,
}

impl Router {
    pub fn new(routes: &[Route]) -> Self {
        let mut router = Self::default();
        for (index, route) in routes.iter().enumerate() {
            let matcher = &route.matcher;
            if matcher.name.is_some() {
                continue;
            }
            let candidate = Candidate {
                route: index,
                methods: matcher.methods.clone(),
                headers: matcher.headers.clone(),
            };
            if matcher.hosts.is_empty() {
                router.any_host.insert(&matcher.path, candidate);
                continue;
            }
            for host in &matcher.hosts {
                router.group(host).insert(&matcher.path, candidate.clone());
            }
        }
        router.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        router
    }

    fn group(&mut self, host: &HostMatch) -> &mut Paths {
        match host {
            HostMatch::Exact(name) => self.hosts.entry(name.clone()).or_default(),
            HostMatch::Suffix(suffix) => {
                let known = self.suffixes.iter().position(|(one, _)| one == suffix);
                let index = known.unwrap_or_else(|| {
                    self.suffixes.push((suffix.clone(), Paths::default()));
                    self.suffixes.len() - 1
                });
                &mut self.suffixes[index].1
            }
        }
    }

    /// The index of the route that serves `request`.
    pub fn find(&self, request: &Request<'_>) -> Option<usize> {
        if !self.hosts.is_empty() || !self.suffixes.is_empty() {
            let host = host_name(request.host);
            let exact = self.hosts.get(&host).and_then(|paths| paths.find(request));
            let by_host = exact.or_else(|| {
                let longer = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
                let mut groups = self.suffixes.iter().filter(|(suffix, _)| longer(suffix));
                groups.find_map(|(_, paths)| paths.find(request))
            });
            if by_host.is_some() {
                return by_host;
            }
        }
        self.any_host.find(request)
    }
}

/// Lower case, without port and final dot.
fn host_name(host: &[u8]) -> String {
    let host = String::from_utf8_lossy(host);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => &host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl Paths {
    fn insert(&mut self, path: &PathMatch, candidate: Candidate) {
        let list = match path {
            PathMatch::Regex(regex) => return self.regexes.push((regex.clone(), candidate)),
            PathMatch::Exact(path) => self.exact.entry(path.clone().into_bytes()).or_default(),
            PathMatch::Prefix(path) => {
                let key = path.strip_suffix('/').unwrap_or(path);
                self.prefixes.entry(key.as_bytes().to_vec()).or_default()
            }
        };
        let place = list.partition_point(|other| other.conditions() >= candidate.conditions());
        list.insert(place, candidate);
    }

    fn find(&self, request: &Request<'_>) -> Option<usize> {
        self.find_exact(request).or_else(|| self.find_regex(request)).or_else(|| self.find_prefix(request))
    }

    fn find_exact(&self, request: &Request<'_>) -> Option<usize> {
        first_fit(self.exact.get(request.path)?, request)
    }

    fn find_regex(&self, request: &Request<'_>) -> Option<usize> {
        if self.regexes.is_empty() {
            return None;
        }
        let path = std::str::from_utf8(request.path).ok()?;
        let mut matching = self.regexes.iter().filter(|(_, candidate)| candidate.fits(request));
        matching.find(|(regex, _)| regex.is_match(path)).map(|(_, candidate)| candidate.route)
    }

    fn find_prefix(&self, request: &Request<'_>) -> Option<usize> {
        let mut prefix = request.path;
        loop {
            if let Some(route) = self.prefixes.get(prefix).and_then(|list| first_fit(list, request)) {
                return Some(route);
            }
            prefix = &prefix[..prefix.iter().rposition(|&byte| byte == b'/')?];
        }
    }
}

fn first_fit(candidates: &[Candidate], request: &Request<'_>) -> Option<usize> {
    candidates.iter().find(|candidate| candidate.fits(request)).map(|candidate| candidate.route)
}

impl Candidate {
    fn conditions(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len()
    }

    fn fits(&self, request: &Request<'_>) -> bool {
        let method = |name: &String| name.as_bytes() == request.method;
        (self.methods.is_empty() || self.methods.iter().any(method))
            && self.headers.iter().all(|wanted| {
                let found = (request.header)(&wanted.name);
                found.is_some_and(|found| wanted.value.as_ref().is_none_or(|value| value.as_bytes() == found))
            })
    }
}

#[cfg(test)]
mod tests;
