use std::time::Duration;

use tidegate_core::{
    snapshot::{Admin, Answers, Balance, ErrorLog, Limits, LuaSettings, Retry, Timeouts, Workers},
    telemetry::LuaTotals,
};

use super::*;

fn fleet(name: &str) -> FleetId {
    FleetId::new(name).unwrap()
}

/// A configuration in which each `(upstream, fleet)` is one.
fn snapshot(upstreams: &[(&str, &str)]) -> Snapshot {
    let upstream = |&(name, target): &(&str, &str)| {
        let name = UpstreamId::new(name).unwrap();
        let target = UpstreamTarget::Fleet(fleet(target));
        let upstream = tidegate_core::snapshot::Upstream {
            name: name.clone(),
            target,
            balance: Balance::default(),
            retry: Retry::default(),
            tls: None,
        };
        (name, upstream)
    };
    Snapshot {
        generation: 1,
        listeners: Vec::new(),
        admin: Admin { address: "127.0.0.1:0".parse().unwrap() },
        workers: Workers::Auto,
        state: None,
        access_log: None,
        error_log: ErrorLog::default(),
        answers: Answers::default(),
        timeouts: Timeouts::default(),
        limits: Limits::default(),
        chaos: false,
        trusted_proxies: Vec::new(),
        lua: LuaSettings::default(),
        vars: Vec::new(),
        sources: BTreeMap::new(),
        fleets: BTreeMap::new(),
        upstreams: upstreams.iter().map(upstream).collect(),
        routes: Vec::new(),
    }
}

struct World {
    telemetry: Arc<Telemetry>,
    start: Instant,
    traffic: Traffic,
}

fn world(upstreams: &[(&str, &str)]) -> World {
    let (telemetry, start) = (Telemetry::new(1), Instant::now());
    let mut traffic = Traffic::new(start);
    traffic.configure(&fleet("f"), &snapshot(upstreams), &telemetry);
    World { telemetry, start, traffic }
}

impl World {
    fn series(&self, upstream: &str) -> Arc<Series> {
        self.telemetry.upstream(&UpstreamId::new(upstream).unwrap())
    }

    fn read(&mut self, millis: u64) -> Metrics {
        self.traffic.read(self.start + Duration::from_millis(millis))
    }
}

#[test]
fn a_fleet_that_no_upstream_leads_to_has_no_traffic_figures() {
    let mut world = world(&[("other", "g")]);
    assert_eq!(world.read(1_000), Metrics::default());
}

#[test]
fn rates_are_over_the_time_that_really_passed_and_over_all_upstreams() {
    let mut world = world(&[("a", "f"), ("b", "f"), ("other", "g")]);
    for _ in 0..30 {
        world.series("a").shard(0).arrive();
        world.series("b").shard(0).arrive();
        world.series("other").shard(0).arrive();
    }
    assert_eq!(world.read(1_500).arrival_rate, Some(40.0));
    assert_eq!(world.read(2_500).arrival_rate, Some(0.0));
}

#[test]
fn concurrency_is_the_mean_of_the_samples() {
    let mut world = world(&[("a", "f")]);
    let series = world.series("a");
    world.traffic.sample();
    series.shard(0).arrive();
    series.shard(0).queue();
    world.traffic.sample();
    series.shard(0).arrive();
    let metrics = world.read(1_000);
    assert_eq!((metrics.concurrency, metrics.queued), (Some(1.0), Some(1.0)));
}

#[test]
fn nothing_answered_is_no_latency_and_no_error_rate() {
    let mut world = world(&[("a", "f")]);
    let series = world.series("a");
    let empty = world.read(1_000);
    assert_eq!((empty.latency_p99, empty.error_rate), (None, None));
    series.shard(0).end(200, Duration::from_millis(2));
    series.shard(0).end(502, Duration::from_millis(50));
    let metrics = world.read(2_000);
    assert_eq!((metrics.latency_p50, metrics.latency_p99), (Some(0.002), Some(0.05)));
    assert_eq!(metrics.error_rate, Some(0.5));
    assert_eq!(world.read(3_000).latency_p50, None);
}

#[test]
fn quantiles_are_told_from_the_answers_of_the_last_reading() {
    let mut world = world(&[("a", "f")]);
    let series = world.series("a");
    for nth in 1..=1_000_u32 {
        let millis = match nth {
            ..=900 => 2,
            901..=950 => 10,
            951..=990 => 50,
            991..=999 => 100,
            _ => 500,
        };
        series.shard(0).end(200, Duration::from_millis(millis));
    }
    let metrics = world.read(1_000);
    let high = [metrics.latency_p90, metrics.latency_p95, metrics.latency_p99, metrics.latency_p999];
    assert_eq!(high, [Some(0.002), Some(0.01), Some(0.05), Some(0.1)]);
}

#[test]
fn what_an_upstream_counted_before_it_led_here_is_left_out() {
    let mut world = world(&[]);
    let series = world.series("late");
    series.shard(0).arrive();
    world.traffic.configure(&fleet("f"), &snapshot(&[("late", "f")]), &world.telemetry);
    series.shard(0).arrive();
    assert_eq!(world.read(1_000).arrival_rate, Some(1.0));
}

#[test]
fn routes_that_a_policy_looks_at_are_read_whoever_serves_them() {
    let text = "\
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
fleets:
  f:
    run: { command: [server] }
    scale:
      triggers: [{ threshold: { metric: latencyP99, route: other, above: 1s } }]
      candidate: { triggers: [{ threshold: { metric: queued, route: tried, above: 1 } }] }
upstreams: { f: { fleet: f }, e: { endpoints: [localhost:1] } }
routes:
  - { name: own, match: { path: /a }, upstream: f }
  - { name: other, match: { path: /b }, upstream: e }
  - { name: third, match: { path: /c }, upstream: e }
  - { name: tried, match: { path: /d }, upstream: e }
";
    let snapshot = tidegate_config::parse("t.yaml", text, &|_| Ok(String::new())).0.unwrap();
    let (telemetry, start) = (Telemetry::new(1), Instant::now());
    let mut traffic = Traffic::new(start);
    traffic.configure(&fleet("f"), &snapshot, &telemetry);
    let route = |name: &str| telemetry.route(&RouteId::new(name).unwrap());
    route("own").shard(0).transfer(300, 700);
    route("third").shard(0).transfer(9, 9);
    for _ in 0..10 {
        route("other").shard(0).arrive();
        route("other").shard(0).end(200, Duration::from_millis(50));
        let taken = LuaTotals { cpu_ns: 40_000_000, allocated_bytes: 1_000, ..LuaTotals::default() };
        route("other").shard(0).lua(&taken);
    }
    route("tried").shard(0).queue();
    let metrics = traffic.read(start + Duration::from_secs(2));
    assert_eq!(metrics.network, Some(500.0), "of the fleet's own routes");
    assert_eq!(metrics.queued, Some(0.0), "what waits elsewhere does not wait here");
    let [(name, other), (_, tried)] = metrics.routes.into_iter().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((name.as_str(), other.arrival_rate, other.error_rate), ("other", Some(5.0), Some(0.0)));
    assert_eq!(other.cpu, Some(0.2), "400 ms of Lua in two seconds");
    assert_eq!((other.lua_allocation, other.queued), (Some(5_000.0), Some(0.0)));
    assert_eq!(tried.queued, Some(1.0), "a policy that is tried looks too");
    assert!(other.latency_p99.is_some_and(|seconds| (0.04..0.06).contains(&seconds)));
}

#[test]
fn the_node_s_workers_are_reached_by_every_route_and_by_no_upstream_of_that_name() {
    let text = "\
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
workers: { min: 1, max: 2 }
upstreams: { same: { endpoints: [localhost:1] } }
routes:
  - { name: same, match: { path: /a }, upstream: same }
  - { name: local, match: { path: /b }, return: { body: b } }
";
    let snapshot = tidegate_config::parse("t.yaml", text, &|_| Ok(String::new())).0.unwrap();
    let mut world = world(&[]);
    let workers = fleet(tidegate_core::snapshot::WORKERS);
    world.traffic.configure(&workers, &snapshot, &world.telemetry);
    world.series("same").shard(0).arrive();
    for name in ["same", "local", "local"] {
        world.telemetry.route(&RouteId::new(name).unwrap()).shard(0).arrive();
    }
    world.telemetry.route(&RouteId::new("same").unwrap()).shard(0).queue();
    let metrics = world.read(1_000);
    assert_eq!((metrics.arrival_rate, metrics.queued), (Some(3.0), Some(0.0)), "it waits for no worker");
}
