//! The hosts file: names that need no server. It is read again when it has changed.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::Settings;

const PATH: &str = "/etc/hosts";
/// How often it is looked whether it has changed.
const PERIOD: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Hosts {
    addresses: HashMap<Box<str>, Vec<IpAddr>>,
    looked: Option<Instant>,
    changed: Option<SystemTime>,
}

impl Hosts {
    /// The first address of a name in lower case, of a kind that is wanted.
    pub(super) fn find(&mut self, name: &str, settings: &Settings) -> Option<IpAddr> {
        self.refresh();
        let addresses = self.addresses.get(name)?;
        let four = settings.ipv4.then(|| addresses.iter().find(|address| address.is_ipv4())).flatten();
        let six = || settings.ipv6.then(|| addresses.iter().find(|address| address.is_ipv6())).flatten();
        four.or_else(six).copied()
    }

    fn refresh(&mut self) {
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now < looked + PERIOD) {
            return;
        }
        self.looked = Some(now);
        let changed = fs::metadata(PATH).and_then(|file| file.modified()).ok();
        if changed != self.changed || changed.is_none() {
            self.changed = changed;
            self.addresses = parse(&fs::read_to_string(PATH).unwrap_or_default());
        }
    }
}

pub(super) fn parse(text: &str) -> HashMap<Box<str>, Vec<IpAddr>> {
    let mut addresses: HashMap<Box<str>, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        for name in words {
            addresses.entry(name.to_ascii_lowercase().into()).or_default().push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_comments_are_not() {
        let parsed = parse("127.0.0.1 LocalHost me # you\n# 1.1.1.1 x\n::1 localhost\nnonsense y\n");
        assert_eq!(parsed["localhost"], ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!(parsed.len(), 2);
        assert!(parsed.contains_key("me"));
    }
}
