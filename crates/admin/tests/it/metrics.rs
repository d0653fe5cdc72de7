//! `/metrics` is right, to a strict reader.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use tidegate_admin::Metric;
use tidegate_core::{
    RouteId, UpstreamId,
    telemetry::{LuaTotals, PluginId},
};

use crate::world::World;

type Labels = BTreeMap<String, String>;

/// One metric with its samples: suffix of the name, labels, value.
#[derive(Debug)]
struct Family {
    kind: String,
    samples: Vec<(String, Labels, f64)>,
}

/// Reads a page, and fails on anything that the format does not allow.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut current: Option<(String, Family)> = None;
    let mut help = None;
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').unwrap();
            assert!(!words.is_empty() && !words.contains('\\'), "{line}");
            help = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(help.take().as_deref(), Some(name), "HELP comes first");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            if let Some((name, family)) = current.replace((name.to_owned(), family)) {
                assert!(families.insert(name, family).is_none(), "a metric is written once");
            }
        } else {
            let (name, family) = current.as_mut().expect("TYPE comes before samples");
            family.samples.push(sample(line, name));
        }
    }
    let (name, family) = current.unwrap();
    families.insert(name, family);
    families
}

fn sample(line: &str, family: &str) -> (String, Labels, f64) {
    let name_ends = line.find(['{', ' ']).unwrap();
    let suffix =
        line[..name_ends].strip_prefix(family).unwrap_or_else(|| panic!("{line} is not of {family}"));
    let mut rest = &line[name_ends..];
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (name, after) = rest.split_once("=\"").unwrap();
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
            let (value, after) = label_value(after);
            assert!(labels.insert(name.to_owned(), value).is_none(), "{line}");
            match after.chars().next().unwrap() {
                ',' => rest = &after[1..],
                '}' => break rest = &after[1..],
                other => panic!("{other:?} in {line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    (suffix.to_owned(), labels, if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() })
}

fn label_value(text: &str) -> (String, &str) {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    loop {
        match characters.next().unwrap() {
            (end, '"') => return (value, &text[end + 1..]),
            (_, '\\') => value.push(match characters.next().unwrap().1 {
                'n' => '\n',
                other @ ('\\' | '"') => other,
                other => panic!("\\{other} is no escape"),
            }),
            (_, other) => value.push(other),
        }
    }
}

impl Family {
    /// No two samples are of the same series, and histograms add up.
    fn check(&self, name: &str) {
        let series: BTreeSet<_> = self.samples.iter().map(|(suffix, labels, _)| (suffix, labels)).collect();
        assert_eq!(series.len(), self.samples.len(), "{name}");
        if self.kind != "histogram" {
            assert!(
                self.samples
                    .iter()
                    .all(|(suffix, labels, _)| suffix.is_empty() && !labels.contains_key("le"))
            );
            assert_eq!(self.kind == "counter", name.ends_with("_total"), "{name}");
            return;
        }
        let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for (_, labels, value) in self.samples.iter().filter(|(suffix, ..)| suffix == "_bucket") {
            let mut labels = labels.clone();
            let le = labels.remove("le").unwrap();
            let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
            buckets.entry(labels).or_default().push((le, *value));
        }
        for (labels, buckets) in buckets {
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}: {buckets:?}");
            let last = buckets.last().unwrap();
            assert!(last.0.is_infinite());
            assert_eq!(self.value("_count", &labels), Some(last.1), "{name}");
            assert!(self.value("_sum", &labels).is_some());
        }
    }

    fn value(&self, suffix: &str, labels: &Labels) -> Option<f64> {
        let found = self.samples.iter().find(|sample| sample.0 == suffix && sample.1 == *labels);
        found.map(|sample| sample.2)
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_page_reads_strictly_and_says_what_was_counted() {
    let world = World::new().serving();
    let route = world.telemetry.route(&RouteId::new("all").unwrap());
    let upstream = world.telemetry.upstream(&UpstreamId::new("web").unwrap());
    for status in [200, 200, 404, 0] {
        route.shard(1).arrive();
        route.shard(1).end(status, Duration::from_millis(3));
    }
    route.shard(0).arrive();
    route.shard(0).transfer(10, 2_000);
    upstream.shard(0).arrive();
    upstream.shard(0).end(503, Duration::from_secs(200));
    upstream.shard(0).queue();
    upstream.shard(1).retry();
    let plugin = PluginId {
        route: Some(RouteId::new("all").unwrap()),
        phase: "access",
        script: "hooks/auth.lua".into(),
    };
    let taken = LuaTotals { cpu_ns: 20_000_000, allocated_bytes: 7, yields: 2, wait_ns: 3_000_000_000 };
    world.telemetry.plugin(plugin).add(1, &taken);
    world.telemetry.workers()[1].lua_gc_pauses.record(Duration::from_micros(20));
    world.telemetry.workers()[1].busy_us.store(1_500_000, Relaxed);
    let answer = world.get("/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let page = parse(&answer.body);
    for (name, family) in &page {
        family.check(name);
    }
    let value = |name: &str, pairs: &[(&str, &str)]| page[name].value("", &labels(pairs));
    let requests = |class| value("tidegate_requests_total", &[("route", "all"), ("class", class)]);
    assert_eq!(["none", "2xx", "4xx", "5xx"].map(requests), [Some(1.0), Some(2.0), Some(1.0), Some(0.0)]);
    assert_eq!(value("tidegate_requests_in_flight", &[("route", "all")]), Some(1.0));
    assert_eq!(value("tidegate_response_body_bytes_total", &[("route", "all")]), Some(2_000.0));
    assert_eq!(value("tidegate_queue_requests", &[("upstream", "web")]), Some(1.0));
    assert_eq!(value("tidegate_upstream_retries_total", &[("upstream", "web")]), Some(1.0));
    assert_eq!(value("tidegate_worker_busy_seconds_total", &[("worker", "1")]), Some(1.5));
    assert_eq!(value("tidegate_fleet_instances", &[("fleet", "web"), ("state", "ready")]), Some(2.0));
    assert_eq!(value("tidegate_fleet_desired_instances", &[("fleet", "web")]), Some(2.0));
    assert_eq!(value("tidegate_fleet_utilization_ratio", &[("fleet", "web")]), None, "nobody reported any");
    assert_eq!(value("tidegate_config_generation", &[]), Some(1.0));
    assert!(value("process_resident_memory_bytes", &[]).unwrap() > 0.0);
    let plugin = [("route", "all"), ("phase", "access"), ("plugin", "hooks/auth.lua")];
    let taken = ["cpu_seconds", "allocated_bytes", "yields", "wait_seconds"];
    let taken = taken.map(|what| value(&format!("tidegate_lua_{what}_total"), &plugin));
    assert_eq!(taken, [Some(0.02), Some(7.0), Some(2.0), Some(3.0)]);
    let pauses = &page["tidegate_lua_gc_pause_seconds"];
    assert_eq!(pauses.value("_count", &labels(&[("worker", "1")])), Some(1.0));
    let duration = &page["tidegate_request_duration_seconds"];
    assert_eq!(duration.value("_count", &labels(&[("route", "all")])), Some(4.0));
}

#[test]
fn every_metric_is_on_the_page_and_no_other_under_the_names_that_were_agreed() {
    let page = parse(&World::new().get("/metrics").body);
    let known: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    assert_eq!(page.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    let mut list: Vec<String> =
        Metric::ALL.iter().map(|metric| format!("{} {}\n", metric.kind().as_str(), metric.name())).collect();
    list.sort();
    assert_eq!(list.concat(), include_str!("metrics.txt"), "a changed name breaks dashboards");
}
