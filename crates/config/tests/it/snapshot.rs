//! What a right file becomes.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use tidegate_core::{
    DictName, FleetId, PoolId, RouteId, Snapshot, UpstreamId,
    policy::{
        Amount, Backlog, Budget, Condition, DEFAULT_IDLE, Fallback, Forecast, Headroom, Join, Metric, Mode,
        Pace, PaceLimit, Policy, Pool, PoolKind, Pressure, Signal, Slo, Supply, Target, TargetMetric,
        Threshold, Trigger, Variable, WhenSpent,
    },
    snapshot::{
        AccessLog, Address, Admin, Answers, Balance, Driver, ErrorLog, Fleet, HeaderMatch, Hooks, HostMatch,
        Limits, Listener, LogOutput, LuaSettings, Match, PathMatch, ReadyCheck, Retry, Route, Run, Script,
        StateFiles, StaticAddress, StaticEndpoint, Timeouts, Upstream, UpstreamTarget, WORKERS, Workers,
    },
};

use crate::{EXAMPLE, LISTENERS, parse, valid};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn script(name: &str, source: &str) -> Script {
    Script::new(name, source)
}

fn endpoint(host: &str, port: u16, weight: u32) -> StaticEndpoint {
    let address = StaticAddress::Host { host: host.into(), port };
    StaticEndpoint { address, weight: NonZeroU32::new(weight).unwrap() }
}

fn orders() -> Fleet {
    Fleet {
        name: FleetId::new("orders").unwrap(),
        run: Run::Lua(script("conf/apps/orders.lua", "-- conf/apps/orders.lua")),
        driver: Driver::Process,
        ready: ReadyCheck { path: Some("/healthz".into()), timeout: secs(10) },
        grace: secs(20),
        concurrency: NonZeroU32::new(50),
        policy: Policy {
            min: 1,
            max: 40,
            idle: DEFAULT_IDLE,
            slo: Slo::default(),
            triggers: vec![
                Trigger::Target(Target {
                    metric: TargetMetric::Utilization,
                    route: None,
                    value: 0.8,
                    tolerance: 0.1,
                }),
                Trigger::Threshold(Threshold {
                    conditions: vec![Condition {
                        signal: Signal::Fleet(Metric::LatencyP99),
                        above: 0.25,
                        below: Some(0.05),
                    }],
                    join: Join::Any,
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
            supply: Supply::default(),
        },
        mode: Mode::Act,
        candidate: None,
        price: None,
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
        tls: None,
    };
    let endpoints = vec![endpoint("10.0.0.5", 8080, 1), endpoint("billing.internal", 8080, 3)];
    let billing = Upstream {
        name: UpstreamId::new("billing").unwrap(),
        target: UpstreamTarget::Endpoints(endpoints),
        balance: Balance::RoundRobin,
        retry: Retry { attempts: 2, budget: 0.1, ..Retry::default() },
        tls: None,
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
        listeners: vec![Listener { address: Address::Ip("0.0.0.0:8000".parse().unwrap()), tls: None }],
        admin: Admin { address: "127.0.0.1:9000".parse().unwrap() },
        workers: Workers::Auto,
        state: Some(StateFiles { path: "conf/.tidegate/tidegate".into(), journal_bytes: 64 << 20 }),
        access_log: Some(AccessLog { sample: 1.0, output: LogOutput::Stdout }),
        error_log: ErrorLog::default(),
        answers: Answers::default(),
        timeouts: Timeouts { first_byte: secs(20), ..Timeouts::default() },
        limits: Limits { body_bytes: 16 << 20, ..Limits::default() },
        chaos: false,
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        lua: LuaSettings {
            prefix: "conf/".into(),
            shared_dicts: BTreeMap::from([(DictName::new("sessions").unwrap(), 10 << 20)]),
            ..LuaSettings::default()
        },
        vars: vec![],
        sources: BTreeMap::new(),
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
    let headroom = Headroom { overload: 0.001, wait: Duration::ZERO };
    let pace = |stabilization| Pace { stabilization: secs(stabilization), limits: vec![] };
    let expected = Policy {
        min: 1,
        max: 10,
        idle: DEFAULT_IDLE,
        slo: Slo::default(),
        triggers: vec![Trigger::Headroom(headroom.clone())],
        scale_out: pace(0),
        scale_in: pace(0),
        supply: Supply::default(),
    };
    assert_eq!(fleet.policy, expected);
    assert_eq!(fleet.policy, Policy::keeping(1, 10, headroom), "the policy that is simulated as the default");
    assert_eq!((fleet.mode, &fleet.candidate, fleet.price), (Mode::Act, &None, None));
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
fn endpoints_may_be_unix_sockets_beside_the_configuration() {
    let endpoints = "[unix:run/a.sock, { address: 'unix:/run/b.sock', weight: 2 }]";
    let snapshot = valid(&format!("{LISTENERS}upstreams: {{ u: {{ endpoints: {endpoints} }} }}"));
    let UpstreamTarget::Endpoints(endpoints) = &snapshot.upstreams[&UpstreamId::new("u").unwrap()].target
    else {
        panic!("endpoints were given");
    };
    let told: Vec<_> = endpoints.iter().map(|one| (one.address.to_string(), one.weight.get())).collect();
    assert_eq!(told, [("unix:conf/run/a.sock".to_owned(), 1), ("unix:/run/b.sock".to_owned(), 2)]);
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
fn workers_whose_number_changes_are_a_fleet() {
    let snapshot = valid(
        "listeners: [{ address: \"[::]:80\" }]\ntimeouts: { drain: 7s }\nworkers: { min: 2, max: 8, price: 0.1 }",
    );
    let count = |count| NonZeroU32::new(count).unwrap();
    assert_eq!(snapshot.workers, Workers::Fleet { min: count(2), max: count(8) });
    let fleet = &snapshot.fleets[&FleetId::new(WORKERS).unwrap()];
    assert_eq!((&fleet.run, fleet.grace, fleet.price), (&Run::Node, Duration::from_secs(7), Some(0.1)));
    let policy = &fleet.policy;
    assert_eq!((policy.min, policy.max, policy.scale_in.stabilization), (2, 8, Duration::from_mins(1)));
    let [Trigger::Target(target)] = &policy.triggers[..] else { panic!("{policy:?}") };
    assert_eq!((target.metric, target.value), (TargetMetric::Utilization, 0.7));
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

/// The policy of a fleet with these keys under `scale`, beside a route `check-out`.
fn fleet(scale: &str) -> Fleet {
    let text = format!(
        "{LISTENERS}fleets: {{ f: {{ run: {{ lua: a.lua }}, scale: {scale} }} }}\nupstreams: {{ f: {{ fleet: f }} }}\n\
         routes: [{{ name: check-out, upstream: f }}]\n"
    );
    valid(&text).fleets[&FleetId::new("f").unwrap()].clone()
}

fn trigger(text: &str) -> Trigger {
    let [trigger] = fleet(&format!("{{ triggers: [{text}] }}")).policy.triggers.try_into().unwrap();
    trigger
}

#[test]
fn pools_and_a_budget_are_part_of_the_policy() {
    let supply = fleet(
        "{ pools: { steady: { kind: onDemand, price: 0.1 }, \
         cheap: { kind: spot, price: 0.03, capacity: 150%, startUp: 20s, interruption: 5%, max: 8 }, \
         paid: { kind: reserved, price: 0.06, max: 4 } }, budget: { monthly: 500, whenSpent: min } }",
    )
    .policy
    .supply;
    let pool = |name: &str, kind, price, max| {
        let name = PoolId::new(name).unwrap();
        Pool { name, kind, price, capacity: 1.0, start_up: None, interruption: 0.0, max }
    };
    let cheap = Pool {
        capacity: 1.5,
        start_up: Some(secs(20)),
        interruption: 0.05,
        ..pool("cheap", PoolKind::Spot, 0.03, 8)
    };
    let (paid, steady) =
        (pool("paid", PoolKind::Reserved, 0.06, 4), pool("steady", PoolKind::OnDemand, 0.1, 1_000));
    assert_eq!(supply.pools, [cheap, paid, steady]);
    let budget = Budget { monthly: 500.0, alarm: 0.8, when_spent: WhenSpent::Min };
    assert_eq!(supply.budget, Some(budget));
    assert_eq!(supply.on_demand_price(), Some(0.1));
}

#[test]
fn every_trigger_becomes_what_it_says() {
    let Trigger::Schedule(schedule) = trigger(
        "schedule: { cron: '0 8 * * MON-FRI', timeZone: Europe/Berlin, for: 10h, exact: 6, exceptions: [2026-12-25] }",
    ) else {
        panic!("a schedule was given")
    };
    assert_eq!(
        (schedule.cron.to_string().as_str(), schedule.zone.name()),
        ("0 8 * * MON-FRI", "Europe/Berlin")
    );
    assert_eq!((schedule.lasts, schedule.floor, schedule.ceiling), (secs(36_000), Some(6), Some(6)));
    assert_eq!(schedule.except.len(), 1);
    assert_eq!(
        trigger("forecast: { horizon: 2m }"),
        Trigger::Forecast(Forecast { horizon: Some(secs(120)), period: None, quantile: 0.99 })
    );
    let signal = Signal::Fleet(Metric::Queued);
    assert_eq!(
        trigger("backlog: { perInstance: 20, activation: 5 }"),
        Trigger::Backlog(Backlog {
            signal: signal.clone(),
            pressure: Pressure::PerInstance(20.0),
            activation: 5.0,
            fallback: Fallback::Hold,
        })
    );
    let pressure = Pressure::Drain { within: secs(30), rate: Some(20.0) };
    assert_eq!(
        trigger("backlog: { drain: 30s, rate: 1200/1m }"),
        Trigger::Backlog(Backlog { signal, pressure, activation: 0.0, fallback: Fallback::Hold })
    );
    assert_eq!(
        trigger("headroom: { overload: 1%, wait: 2s }"),
        Trigger::Headroom(Headroom { overload: 0.01, wait: secs(2) })
    );
}

#[test]
fn a_formula_knows_its_names() {
    let formula = "formula: { expression: 'max(arrivalRate / 60, target) + route_check_out_latencyP99 * 4 + failed', \
                   default: { arrivalRate: 30 } }";
    let Trigger::Formula(formula) = trigger(formula) else { panic!("a formula was given") };
    let route = Signal::Route(RouteId::new("check-out").unwrap(), Metric::LatencyP99);
    let variables = [
        ("arrivalRate", Variable::Signal(Signal::Fleet(Metric::ArrivalRate))),
        ("failed", Variable::Failed),
        ("route_check_out_latencyP99", Variable::Signal(route)),
        ("target", Variable::Recommended("target".into())),
    ];
    assert_eq!(formula.variables, variables.map(|(name, variable)| (name.to_owned(), variable)).into());
    assert_eq!(formula.default, [("arrivalRate".to_owned(), 30.0)].into());
}

#[test]
fn each_metric_is_written_in_its_own_unit() {
    let text = "threshold: { any: [{ metric: latencyP90, above: 100ms }, { metric: latencyP95, above: 150ms }, \
                { metric: latencyP999, above: 1s }, { metric: luaDicts, above: 90% }, \
                { metric: luaCoroutines, above: 500 }, { metric: luaCollecting, above: 5% }, \
                { metric: luaAllocation, above: 2MiB/1s }, { metric: queued, route: check-out, above: 3 }, \
                { metric: cpu, route: check-out, above: 0.5 }] }";
    let Trigger::Threshold(threshold) = trigger(text) else { panic!("a threshold was given") };
    let route = |metric| Signal::Route(RouteId::new("check-out").unwrap(), metric);
    let expected = [
        (Signal::Fleet(Metric::LatencyP90), 0.1),
        (Signal::Fleet(Metric::LatencyP95), 0.15),
        (Signal::Fleet(Metric::LatencyP999), 1.0),
        (Signal::Fleet(Metric::LuaDicts), 0.9),
        (Signal::Fleet(Metric::LuaCoroutines), 500.0),
        (Signal::Fleet(Metric::LuaCollecting), 0.05),
        (Signal::Fleet(Metric::LuaAllocation), 2.0 * 1_048_576.0),
        (route(Metric::Queued), 3.0),
        (route(Metric::Cpu), 0.5),
    ];
    let conditions = threshold.conditions.into_iter().map(|one| (one.signal, one.above));
    assert_eq!(conditions.collect::<Vec<_>>(), expected);
    let Trigger::Target(target) = trigger("target: { metric: luaMemory, value: 64MiB }") else {
        panic!("a target was given")
    };
    assert_eq!((target.metric, target.value), (TargetMetric::LuaMemory, 67_108_864.0));
}

#[test]
fn conditions_are_joined_as_they_are_written() {
    let threshold = trigger(
        "threshold: { all: [{ metric: latencyP99, route: check-out, above: 250ms }, { metric: network, above: 10MiB/1s, \
         below: 1MiB/1s }] }",
    );
    let Trigger::Threshold(threshold) = threshold else { panic!("a threshold was given") };
    let route = RouteId::new("check-out").unwrap();
    let slow = Condition { signal: Signal::Route(route, Metric::LatencyP99), above: 0.25, below: None };
    let mib = f64::from(1 << 20);
    let busy = Condition { signal: Signal::Fleet(Metric::Network), above: 10.0 * mib, below: Some(mib) };
    assert_eq!((threshold.join, threshold.conditions), (Join::All, vec![slow, busy]));
}

#[test]
fn an_objective_is_all_that_the_default_policy_needs() {
    let scale =
        "{ max: 40, slo: { overload: 1%, wait: 1s, latencyP99: 50ms }, price: 0.04, mode: recommend }";
    let fleet = fleet(scale);
    let slo = Slo { overload: 0.01, wait: secs(1), latency_p99: Some(Duration::from_millis(50)) };
    assert_eq!(fleet.policy.slo, slo);
    assert_eq!(fleet.policy.triggers, [Trigger::Headroom(Headroom { overload: 0.01, wait: secs(1) })]);
    assert_eq!((fleet.mode, fleet.price), (Mode::Recommend, Some(0.04)));
}

#[test]
fn a_candidate_takes_its_bounds_and_objective_from_the_fleet() {
    let candidate =
        fleet("{ min: 2, max: 20, slo: { overload: 1% }, triggers: [], candidate: { max: 30 } }").candidate;
    let candidate = candidate.unwrap();
    assert_eq!((candidate.min, candidate.max, candidate.slo.overload), (2, 30, 0.01));
    assert_eq!(candidate.triggers, [Trigger::Headroom(Headroom { overload: 0.01, wait: Duration::ZERO })]);
}

#[test]
fn state_is_kept_beside_the_file_or_where_it_says_or_not_at_all() {
    let state = |text: &str| {
        let snapshot = valid(&format!("{LISTENERS}{text}"));
        snapshot.state.map(|state| (state.path.display().to_string(), state.journal_bytes >> 20))
    };
    assert_eq!(state(""), Some(("conf/.tidegate/tidegate".to_owned(), 64)));
    assert_eq!(
        state("state: { path: /var/lib/tidegate, journal: 1GiB }"),
        Some(("/var/lib/tidegate".to_owned(), 1_024))
    );
    assert_eq!(state("state: { path: kept }"), Some(("conf/kept".to_owned(), 64)));
    assert_eq!(state("state: false"), None);
}
