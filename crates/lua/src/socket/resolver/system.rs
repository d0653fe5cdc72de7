//! What `/etc/resolv.conf` says: whom to ask, and for which full names. It is read again when it has changed.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

const PATH: &str = "/etc/resolv.conf";
const PERIOD: Duration = Duration::from_secs(5);
pub(super) const PORT: u16 = 53;
/// As many as the system's own resolver asks.
const MOST_SERVERS: usize = 3;
const MOST_DOMAINS: usize = 6;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) servers: Vec<SocketAddr>,
    domains: Vec<String>,
    /// Names with so many dots are tried as they are first.
    dots: usize,
}

impl Configuration {
    pub(super) fn parse(text: &str) -> Self {
        let mut parsed = Self { dots: 1, ..Self::default() };
        for line in text.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    parsed.servers.extend(address.map(|address| SocketAddr::from((address, PORT))));
                }
                Some("search" | "domain") => {
                    let domains = words.map(|word| word.trim_matches('.').to_ascii_lowercase());
                    parsed.domains = domains.filter(|domain| !domain.is_empty()).take(MOST_DOMAINS).collect();
                }
                Some("options") => {
                    let dots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    parsed.dots = dots.unwrap_or(parsed.dots);
                }
                _ => {}
            }
        }
        parsed.servers.truncate(MOST_SERVERS);
        parsed
    }

    /// The full names that `name` may stand for, in the order in which they are tried.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        let mut candidates: Vec<_> = self.domains.iter().map(|domain| format!("{name}.{domain}")).collect();
        let itself = name.to_owned();
        if name.matches('.').count() >= self.dots {
            candidates.insert(0, itself);
        } else {
            candidates.push(itself);
        }
        candidates
    }
}

#[derive(Debug, Default)]
pub(super) struct System {
    configuration: Arc<Configuration>,
    looked: Option<Instant>,
    changed: Option<SystemTime>,
}

impl System {
    pub(super) fn read(&mut self) -> Arc<Configuration> {
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now >= looked + PERIOD) {
            self.looked = Some(now);
            let changed = fs::metadata(PATH).and_then(|file| file.modified()).ok();
            if changed != self.changed {
                self.changed = changed;
                let text = fs::read_to_string(PATH).unwrap_or_default();
                self.configuration = Arc::new(Configuration::parse(&text));
            }
        }
        Arc::clone(&self.configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_names_are_tried_within_its_domains_first() {
        let text = "# made\nnameserver 10.96.0.10\nsearch web.svc.cluster.local svc.cluster.local\noptions ndots:5 edns0\n";
        let configuration = Configuration::parse(text);
        assert_eq!(configuration.servers, ["10.96.0.10:53".parse::<SocketAddr>().unwrap()]);
        let expected = ["orders.web.svc.cluster.local", "orders.svc.cluster.local", "orders"];
        assert_eq!(configuration.candidates("orders"), expected);
    }

    #[test]
    fn names_with_dots_are_tried_as_they_are_first() {
        let configuration = Configuration::parse("nameserver ::1\ndomain example.org.\n");
        assert_eq!(
            configuration.candidates("www.example.com"),
            ["www.example.com", "www.example.com.example.org"]
        );
    }
}
