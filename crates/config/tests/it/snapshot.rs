//! What a right file becomes.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use tidegate_core::{
    DictName, FleetId, RouteId, Snapshot, UpstreamId,
    policy::{Amount, Metric, Pace, PaceLimit, Policy, Target, TargetMetric, Threshold, Trigger},
    snapshot::{
        AccessLog, Admin, Balance, Driver, ErrorLog, Fleet, HeaderMatch, Hooks, HostMatch, Limits, Listener,
        LogOutput, LuaSettings, Match, PathMatch, ReadyCheck, Retry, Route, Run, Script, StaticEndpoint,
        Timeouts, Upstream, UpstreamTarget, Workers,
    },
};

use crate::{EXAMPLE, LISTENERS, parse, valid};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn script(name: &str, source: &str) -> Script {
    Script { name: name.into(), source: source.into() }
}

fn endpoint(host: &str, port: u16, weight: u32) -> StaticEndpoint {
    StaticEndpoint { host: host.into(), port, weight: NonZeroU32::new(weight).unwrap() }
}

fn orders() -> Fleet {
    Fleet {
        name: FleetId::new("orders").unwrap(),
        run: Run::Lua(script("conf/apps/orders.lua", "-- conf/apps/orders.lua")),
        driver: Driver::Process,
        ready: ReadyCheck { path: Some("/healthz".into()), timeout: secs(10) },
        grace: secs(20),
        policy: Policy {
            min: 1,
            max: 40,
            triggers: vec![
                Trigger::Target(Target { metric: TargetMetric::Utilization, value: 0.8, tolerance: 0.1 }),
                Trigger::Threshold(Threshold {
                    metric: Metric::LatencyP99,
                    above: 0.25,
                    below: Some(0.05),
                    hold: secs(10),
                    step_out: Amount::Share(0.5),
                    step_in: Amount::Instances(NonZeroU32::MIN),
                }),
            ],
            scale_out: Pace {
                stabilization: Duration::ZERO,
                limits: vec![
                    PaceLimit { amount: Amount::Instances(NonZeroU32::new(4).unwrap()), period: secs(15) },
                    PaceLimit { amount: Amount::Share(1.0), period: secs(15) },
                ],
            },
            scale_in: Pace { stabilization: secs(120), limits: vec![] },
        },
    }
}

fn route(name: &str) -> Route {
    Route::new(RouteId::new(name).unwrap())
}

fn upstreams() -> [Upstream; 2] {
    let orders = Upstream {
        name: UpstreamId::new("orders").unwrap(),
        target: UpstreamTarget::Fleet(FleetId::new("orders").unwrap()),
        balance: Balance::LeastConnections,
        retry: Retry::default(),
    };
    let endpoints = vec![endpoint("10.0.0.5", 8080, 1), endpoint("billing.internal", 8080, 3)];
    let billing = Upstream {
        name: UpstreamId::new("billing").unwrap(),
        target: UpstreamTarget::Endpoints(endpoints),
        balance: Balance::RoundRobin,
        retry: Retry { attempts: 2, budget: 0.1, ..Retry::default() },
    };
    [billing, orders]
}

fn routes() -> Vec<Route> {
    let line = 1 + EXAMPLE.lines().position(|line| line.contains("ngx.say")).unwrap();
    let hello = "\n".repeat(line - 1) + "ngx.say(\"hello from \", ngx.var.host)\n";
    vec![
        Route {
            matcher: Match {
                path: PathMatch::Prefix("/orders/".into()),
                methods: vec!["GET".into(), "POST".into()],
                ..Match::default()
            },
            upstream: Some(UpstreamId::new("orders").unwrap()),
            hooks: Hooks {
                access: Some(script("conf/hooks/auth.lua", "-- conf/hooks/auth.lua")),
                ..Hooks::default()
            },
            ..route("orders")
        },
        Route {
            matcher: Match {
                hosts: vec![
                    HostMatch::Exact("billing.example.com".into()),
                    HostMatch::Suffix(".billing.example.com".into()),
                ],
                path: PathMatch::Regex("^/(bills|invoices)/[0-9]+$".parse().unwrap()),
                headers: vec![HeaderMatch { name: "x-api-version".into(), value: Some("2".into()) }],
                ..Match::default()
            },
            upstream: Some(UpstreamId::new("billing").unwrap()),
            ..route("billing")
        },
        Route {
            matcher: Match { path: PathMatch::Exact("/hello".into()), ..Match::default() },
            hooks: Hooks { content: Some(script("conf/tidegate.yaml", &hello)), ..Hooks::default() },
            ..route("hello")
        },
    ]
}

#[test]
fn the_example_becomes_what_it_says_without_a_warning() {
    let (snapshot, diagnostics) = parse(EXAMPLE);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    let expected = Snapshot {
        generation: 1,
        listeners: vec![Listener { address: "0.0.0.0:8000".parse().unwrap() }],
        admin: Admin { address: "127.0.0.1:9000".parse().unwrap() },
        workers: Workers::Auto,
        access_log: Some(AccessLog { sample: 1.0, output: LogOutput::Stdout }),
        error_log: ErrorLog::default(),
        timeouts: Timeouts { first_byte: secs(20), ..Timeouts::default() },
        limits: Limits { body_bytes: 16 << 20, ..Limits::default() },
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        lua: LuaSettings {
            prefix: "conf/".into(),
            shared_dicts: BTreeMap::from([(DictName::new("sessions").unwrap(), 10 << 20)]),
            ..LuaSettings::default()
        },
        vars: vec![],
        fleets: [orders()].map(|fleet| (fleet.name.clone(), fleet)).into(),
        upstreams: upstreams().map(|upstream| (upstream.name.clone(), upstream)).into(),
        routes: routes(),
    };
    // `Regex` cannot be compared, its text can.
    assert_eq!(format!("{:#?}", snapshot.unwrap()), format!("{expected:#?}"));
}

#[test]
fn without_a_word_about_it_everything_has_its_default() {
    let snapshot = valid(LISTENERS);
    assert_eq!(snapshot.timeouts, Timeouts::default());
    assert_eq!(snapshot.limits, Limits::default());
    assert_eq!(snapshot.lua, LuaSettings { prefix: "conf/".into(), ..LuaSettings::default() });
    assert_eq!(snapshot.error_log, ErrorLog::default());
    assert_eq!(snapshot.admin.address, "127.0.0.1:9000".parse().unwrap());
    assert_eq!((snapshot.workers, snapshot.access_log), (Workers::Auto, None));
    assert!(snapshot.trusted_proxies.is_empty() && snapshot.routes.is_empty());
}

#[test]
fn a_fleet_has_defaults_down_to_its_trigger() {
    let snapshot =
        valid(&format!("{LISTENERS}fleets: {{ f: {{ run: {{ command: [server, --port, 80] }} }} }}"));
    let fleet = &snapshot.fleets[&FleetId::new("f").unwrap()];
    assert_eq!(fleet.run, Run::Command(vec!["server".into(), "--port".into(), "80".into()]));
    assert_eq!((fleet.driver, fleet.grace), (Driver::Process, secs(30)));
    assert_eq!(fleet.ready, ReadyCheck { path: None, timeout: secs(30) });
    let target = Target { metric: TargetMetric::Utilization, value: 0.8, tolerance: 0.1 };
    let pace = |stabilization| Pace { stabilization: secs(stabilization), limits: vec![] };
    let expected = Policy {
        min: 1,
        max: 10,
        triggers: vec![Trigger::Target(target)],
        scale_out: pace(0),
        scale_in: pace(60),
    };
    assert_eq!(fleet.policy, expected);
}

#[test]
fn a_fleet_can_be_left_without_triggers() {
    let snapshot =
        valid(&format!("{LISTENERS}fleets: {{ f: {{ run: {{ lua: a.lua }}, scale: {{ triggers: [] }} }} }}"));
    assert_eq!(snapshot.fleets[&FleetId::new("f").unwrap()].policy.triggers, []);
}

#[test]
fn balancing_follows_what_is_balanced_over() {
    let text = "fleets: { f: { run: { lua: a.lua } } }\nupstreams:\n  fleet: { fleet: f }\n  fixed: { endpoints: [h:80] }\n  \
                turned: { fleet: f, balance: roundRobin }\n";
    let snapshot = valid(&format!("{LISTENERS}{text}"));
    let balance = |name| snapshot.upstreams[&UpstreamId::new(name).unwrap()].balance;
    assert_eq!(balance("fleet"), Balance::LeastConnections);
    assert_eq!(balance("fixed"), Balance::RoundRobin);
    assert_eq!(balance("turned"), Balance::RoundRobin);
}

#[test]
fn endpoints_may_be_ipv6_and_keep_no_brackets() {
    let snapshot = valid(&format!("{LISTENERS}upstreams: {{ u: {{ endpoints: ['[::1]:80'] }} }}"));
    let UpstreamTarget::Endpoints(endpoints) = &snapshot.upstreams[&UpstreamId::new("u").unwrap()].target
    else {
        panic!("endpoints were given");
    };
    assert_eq!(*endpoints, [endpoint("::1", 80, 1)]);
}

#[test]
fn a_route_is_named_after_its_position_when_it_has_no_name() {
    let snapshot = valid(&format!(
        "{LISTENERS}routes: [{{ name: first, lua: {{ content: a.lua }} }}, {{ match: {{ path: /b }}, lua: {{ content: a.lua }} }}]"
    ));
    let names: Vec<_> = snapshot.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["first", "route-2"]);
}

#[test]
fn matches_are_kept_as_requests_are_compared() {
    let matcher = |text: &str| {
        let text = format!("{LISTENERS}routes: [{{ match: {text}, lua: {{ content: a.lua }} }}]");
        format!("{:?}", valid(&text).routes[0].matcher)
    };
    let with = |change: &dyn Fn(&mut Match)| {
        let mut matcher = Match::default();
        change(&mut matcher);
        format!("{matcher:?}")
    };
    assert_eq!(matcher("{}"), with(&|_| {}));
    assert_eq!(matcher("{ path: /* }"), with(&|m| m.path = PathMatch::Prefix("/".into())));
    assert_eq!(matcher("{ path: /a/ }"), with(&|m| m.path = PathMatch::Exact("/a/".into())));
    assert_eq!(matcher("{ path: ~(?i)x }"), with(&|m| m.path = PathMatch::Regex("(?i)x".parse().unwrap())));
    assert_eq!(
        matcher("{ host: API.example.COM. }"),
        with(&|m| m.hosts = vec![HostMatch::Exact("api.example.com".into())])
    );
    assert_eq!(matcher("{ host: '[::1]' }"), with(&|m| m.hosts = vec![HostMatch::Exact("[::1]".into())]));
    let header = |value: Option<&str>| vec![HeaderMatch { name: "x-a".into(), value: value.map(Into::into) }];
    assert_eq!(matcher("{ headers: { X-A: on } }"), with(&|m| m.headers = header(Some("on"))));
    assert_eq!(matcher("{ headers: [X-A] }"), with(&|m| m.headers = header(None)));
}

#[test]
fn json_is_a_configuration_too() {
    let snapshot = valid(r#"{"listeners": [{"address": "[::]:80"}], "workers": 3, "limits": {"queue": 0}}"#);
    assert_eq!(snapshot.workers, Workers::Fixed(NonZeroU32::new(3).unwrap()));
    assert_eq!(snapshot.limits.queue, 0);
}

#[test]
fn ports_that_the_system_chooses_are_never_the_same() {
    let text =
        "listeners: [{ address: 127.0.0.1:0 }, { address: 127.0.0.1:0 }]\nadmin: { address: 127.0.0.1:0 }";
    assert_eq!(valid(text).listeners.len(), 2);
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_text() {
    valid(&format!("\u{feff}{LISTENERS}"));
}
