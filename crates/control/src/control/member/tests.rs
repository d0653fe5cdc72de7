use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use tidegate_core::{InstanceId, Snapshot, Telemetry, UpstreamId, telemetry::Series};

use super::*;
use crate::{fleet::Action, instance::protocol::Status};

mod agreement;

const SECOND: Duration = Duration::from_secs(1);
/// What one instance does in a second.
const CAPACITY: f64 = 100.0;

fn name() -> FleetId {
    FleetId::new("f").unwrap()
}

fn snapshot(scale: &str, upstreams: &str) -> Snapshot {
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nfleets: {{ f: {{ run: {{ lua: app.lua }}, scale: {scale} }} }}\n{upstreams}"
    );
    let read = |_: &Path| Ok(String::new());
    let (snapshot, diagnostics) = tidegate_config::parse("tidegate.yaml", &text, &read);
    snapshot.unwrap_or_else(|| panic!("{diagnostics:#?}"))
}

/// A member whose instances, clock and requests a test makes up.
struct Play {
    member: Member,
    scale: String,
    telemetry: Arc<Telemetry>,
    series: Arc<Series>,
    now: Moment,
    launched: u32,
    /// Time that each instance was busy and up.
    times: BTreeMap<InstanceId, (f64, f64)>,
    counts: Vec<u32>,
    /// Whether metrics are hidden from decisions.
    hidden: bool,
}

impl Play {
    fn new(scale: &str) -> Self {
        let now = Moment { instant: Instant::now(), time: Timestamp::from_secs(1_800_000_000) };
        let snapshot = snapshot(scale, "upstreams: { u: { fleet: f } }");
        let (telemetry, fleet) = (Telemetry::new(1), &snapshot.fleets[&name()]);
        let mut member = Member::new(&name(), fleet, Template::new(fleet, &snapshot), now, None);
        member.observer.configure(&name(), &snapshot, &telemetry);
        let series = telemetry.upstream(&UpstreamId::new("u").unwrap());
        let (scale, times, counts) = (scale.to_owned(), BTreeMap::new(), Vec::new());
        Self { member, scale, telemetry, series, now, launched: 0, times, counts, hidden: false }
    }

    /// Lets `seconds` pass in which `rate` requests a second arrive.
    fn serve(&mut self, seconds: u32, rate: f64) -> &mut Self {
        for _ in 0..seconds {
            self.now = Moment { instant: self.now.instant + SECOND, time: self.now.time + SECOND };
            for _ in 0..rate as u32 {
                self.series.shard(0).arrive();
                self.series.shard(0).end(200, Duration::from_millis(10));
            }
            let ready = self.member.fleet.instances().iter().filter(|one| one.is_ready()).count();
            let busy = (rate / CAPACITY / ready.max(1) as f64).min(1.0);
            self.report(Some(busy));
            self.step();
        }
        self
    }

    /// Lets `seconds` pass in which nothing can be seen, whatever happens.
    fn blind(&mut self, seconds: u32) -> &mut Self {
        let blind = snapshot(&self.scale, "");
        self.member.observer.configure(&name(), &blind, &self.telemetry);
        for _ in 0..seconds {
            self.now = Moment { instant: self.now.instant + SECOND, time: self.now.time + SECOND };
            self.report(None);
            self.step();
        }
        let seeing = snapshot(&self.scale, "upstreams: { u: { fleet: f } }");
        self.member.observer.configure(&name(), &seeing, &self.telemetry);
        self
    }

    /// Sets the wall clock.
    fn set_clock(&mut self, time: Timestamp) -> &mut Self {
        self.now.time = time;
        self
    }

    fn report(&mut self, busy: Option<f64>) {
        let ready: Vec<_> = self.member.fleet.instances().iter().filter(|one| one.is_ready()).collect();
        for id in ready.into_iter().map(|one| one.id.clone()).collect::<Vec<_>>() {
            let (was_busy, up) = self.times.entry(id.clone()).or_default();
            (*was_busy, *up) = (*was_busy + busy.unwrap_or_default(), *up + 1.0);
            let micros = |seconds: f64| (seconds * 1e6) as u64;
            let status = Status {
                busy_micros: micros(*was_busy),
                up_micros: micros(*up),
                served: (*was_busy * CAPACITY) as u64,
                ..Status::default()
            };
            if busy.is_some() {
                self.member.observer.reported(&id, status, self.now.instant);
            }
        }
    }

    fn step(&mut self) {
        self.member.step(self.now, &BTreeMap::new(), self.hidden, 1, Standing::default());
        self.counts.push(self.member.fleet.desired);
        self.settle();
    }

    /// What is to be started and ended is, at once.
    fn settle(&mut self) {
        let launched = &mut self.launched;
        let actions = self.member.fleet.reconcile(self.now, |_| {
            *launched += 1;
            InstanceId::new(&format!("f-{launched}")).unwrap()
        });
        for action in actions {
            match action {
                Action::Start(id) => {
                    let address = "127.0.0.1:1".parse().unwrap();
                    if let Some(one) = self.member.fleet.instance_mut(&id) {
                        one.reports_status = true;
                    }
                    if let Some(took) = self.member.fleet.ready(&id, address, self.now.instant) {
                        self.member.observer.started(took);
                    }
                }
                Action::Drain(id) => self.member.fleet.exited(&id, "drained".to_owned(), self.now),
            }
        }
    }
}

const POLICIES: [&str; 3] = [
    "{ max: 20 }",
    "{ max: 20, triggers: [{ target: { metric: utilization, value: 80% } }], behavior: { scaleIn: { stabilization: 1m } } }",
    "{ max: 20, triggers: [{ target: { metric: arrivalRate, value: 80/1s } }, { forecast: { horizon: auto } }] }",
];

#[test]
fn all_metrics_lost_for_ten_minutes_at_the_peak_shrink_nothing() {
    for scale in POLICIES {
        let mut play = Play::new(scale);
        play.serve(120, 150.0).serve(300, 700.0);
        let peak = play.member.fleet.desired;
        assert!(peak >= 8, "{scale}: {peak}");
        play.blind(600);
        assert!(play.counts[420..].iter().all(|&count| count >= peak), "{scale}: {:?}", &play.counts[420..]);
        // And it is not that it never would.
        play.serve(1_200, 150.0);
        assert!(play.member.fleet.desired < peak / 2, "{scale}: {}", play.member.fleet.desired);
    }
}

#[test]
fn a_clock_that_jumps_an_hour_either_way_changes_nothing_by_itself() {
    for scale in POLICIES {
        let play = |jump: &dyn Fn(Timestamp) -> Timestamp| {
            let mut play = Play::new(scale);
            play.serve(200, 150.0).serve(100, 620.0);
            let now = play.now.time;
            play.set_clock(jump(now)).serve(100, 620.0).serve(30, 150.0);
            let now = play.now.time;
            play.set_clock(jump(now)).serve(600, 150.0);
            play.counts
        };
        let hour = Duration::from_hours(1);
        let steady = play(&|time| time);
        assert_eq!(play(&|time| time + hour), steady, "{scale}, forward");
        let back = |time: Timestamp| Timestamp::from_micros(time.as_micros() - hour.as_micros() as u64);
        assert_eq!(play(&back), steady, "{scale}, back");
    }
}

const POOLS: &str = "pools: { steady: { kind: onDemand, price: 0.1 }, paid: { kind: reserved, price: 0.06, max: 2 }, \
                     a: { kind: spot, price: 0.03 }, b: { kind: spot, price: 0.03 }, c: { kind: spot, price: 0.03 } }";

#[test]
fn instances_are_of_the_pools_that_were_chosen_and_cost_what_these_cost() {
    let scale = format!(
        "{{ max: 100, {POOLS}, triggers: [{{ target: {{ metric: arrivalRate, value: 100/1s }} }}] }}"
    );
    let mut play = Play::new(&scale);
    play.serve(60, 2_000.0);
    let view = play.member.view(play.now);
    let of = |name: &str| {
        let pool =
            |one: &&crate::view::InstanceView| one.pool.as_ref().is_some_and(|pool| pool.as_str() == name);
        view.instances.iter().filter(pool).count()
    };
    assert_eq!(["steady", "paid", "a", "b", "c"].map(of), [0, 2, 9, 9, 9]);
    assert_eq!(
        (view.desired, view.recommended),
        (29, 20),
        "two more than half of the spot instances are spare"
    );
    let pool = view.pools.iter().find(|pool| pool.name.as_str() == "a").unwrap();
    assert_eq!((pool.kind, pool.desired, pool.ready), ("spot", 9, 9));
    // 27 at three cents and two at six, in an hour; twenty at ten cents on demand.
    let hour = 3_600.0 / 60.0;
    let cost = view.cost;
    assert!((cost.usd.unwrap() * hour - 0.93).abs() < 0.05, "{cost:?}");
    assert!((cost.on_demand_usd.unwrap() * hour - 2.0).abs() < 0.1, "{cost:?}");
    assert!((cost.fixed_usd.unwrap() * hour - 2.0).abs() < 0.1, "{cost:?}");
    assert!((cost.requests - 118_000.0).abs() < 4_000.0, "{cost:?}");
    let decision = play.member.view(play.now).last_decision.unwrap();
    let reasons = decision.decision.reasons();
    let told = reasons.iter().find(|reason| reason.starts_with("pools: ")).unwrap();
    assert!(told.contains("9 of a (spot, 0.03 USD/h)"), "{told}");
}

#[test]
fn what_is_shown_is_made_anew_when_it_has_changed() {
    let mut play = Play::new("{ min: 1 }");
    play.step();
    let shown = play.member.shown(play.now);
    assert!(Arc::ptr_eq(&shown, &play.member.shown(play.now)));
    play.member.fleet.desired = 7;
    play.member.touch();
    assert_eq!((shown.desired, play.member.shown(play.now).desired), (1, 7));
}

#[test]
fn what_workers_finish_is_known_although_they_are_killed() {
    let mut play = Play::new("{ min: 1 }");
    let blind = snapshot(&play.scale, "");
    play.member.observer.configure(&name(), &blind, &play.telemetry);
    play.step();
    for _ in 0..5 {
        let id = play.member.fleet.instances()[0].id.clone();
        for half in 1..=2 {
            play.now.instant += SECOND / 2;
            let status = Status { up_micros: half * 500_000, served: half * 50, ..Status::default() };
            play.member.observer.reported(&id, status, play.now.instant);
        }
        play.member.fleet.exited(&id, "killed".to_owned(), play.now);
        play.settle();
        play.step();
        assert_eq!(play.member.metrics.served_rate, Some(100.0), "{id}");
    }
}

#[test]
fn a_policy_on_trial_says_which_pools_it_would_take_and_what_they_would_cost() {
    let trigger = "triggers: [{ target: { metric: arrivalRate, value: 100/1s } }]";
    let told = |play: &Play| {
        let step = play.member.view(play.now).last_step.unwrap();
        step.decision.mix.as_ref().unwrap().because.clone()
    };
    // Nothing is done: one instance, of no pool, costs what it does on demand; what is reserved is paid anyway.
    let mut play = Play::new(&format!("{{ max: 100, mode: recommend, {POOLS}, {trigger} }}"));
    play.serve(60, 2_000.0);
    let view = play.member.view(play.now);
    assert_eq!((view.desired, view.recommended, view.instances.len()), (1, 20, 1));
    assert!(view.instances[0].pool.is_none());
    assert!(told(&play).contains("9 of a (spot, 0.03 USD/h)"), "{}", told(&play));
    let hour = 3_600.0 / 60.0;
    let cost = view.cost;
    assert!((cost.usd.unwrap() * hour - 0.22).abs() < 0.01, "{cost:?}");
    assert!((cost.recommended_usd.unwrap() * hour - 0.93).abs() < 0.05, "{cost:?}");

    // A candidate with the pools of the fleet, and one with others.
    let candidate = |pools: &str| {
        let scale = format!("{{ max: 100, {POOLS}, {trigger}, candidate: {{ {trigger}{pools} }} }}");
        let mut play = Play::new(&scale);
        play.serve(60, 2_000.0);
        let view = play.member.view(play.now);
        let step = view.candidate.unwrap().last_step.unwrap();
        (step.decision.mix.as_ref().unwrap().because.clone(), view.cost)
    };
    let (because, cost) = candidate("");
    assert!(because.contains("9 of a (spot, 0.03 USD/h)"), "{because}");
    assert!((cost.candidate_usd.unwrap() - cost.usd.unwrap()).abs() < 0.05 / hour, "{cost:?}");
    let (because, cost) = candidate(", pools: { other: { kind: onDemand, price: 0.2 } }");
    assert!(because.starts_with("20 of other (onDemand, 0.2 USD/h)"), "{because}");
    assert!((cost.candidate_usd.unwrap() * hour - 4.0).abs() < 0.2, "{cost:?}");
    assert!(cost.recommended_usd.is_none(), "what is recommended is done");
}

#[test]
fn requests_are_counted_for_the_bill_while_metrics_are_hidden() {
    let mut play = Play::new("{ max: 9, price: 0.1 }");
    play.serve(10, 50.0);
    play.hidden = true;
    play.serve(20, 50.0);
    play.hidden = false;
    play.serve(10, 50.0);
    let cost = play.member.view(play.now).cost;
    // What arrived in the last second is charged with the next step.
    assert!((cost.requests - 39.0 * 50.0).abs() <= 50.0, "{cost:?}");
}

#[test]
fn a_budget_alarms_and_then_holds_the_fleet() {
    // One instance costs six dollars a minute.
    let scale = "{ max: 9, price: 360, budget: { monthly: 20, alarm: 50% }, \
                 triggers: [{ target: { metric: arrivalRate, value: 100/1s } }] }";
    let mut play = Play::new(scale);
    play.serve(60, 90.0);
    assert!(play.member.view(play.now).budget.is_some_and(|budget| !budget.alarm && !budget.spent));
    play.serve(60, 190.0);
    let budget = play.member.view(play.now).budget.unwrap();
    assert!(budget.alarm && !budget.spent && (10.0..20.0).contains(&budget.spent_usd), "{budget:?}");
    play.serve(60, 190.0);
    assert!(play.member.view(play.now).budget.is_some_and(|budget| budget.spent));
    play.serve(10, 800.0);
    assert_eq!(play.member.fleet.desired, 2, "it grows no more");
    let reasons = play.member.view(play.now).last_step.unwrap().decision.reasons();
    assert!(reasons.iter().any(|reason| reason.starts_with("budget: 2 instead of 8, ")), "{reasons:?}");
    // A month later nothing is spent.
    let later = play.now.time + Duration::from_hours(32 * 24);
    play.set_clock(later).serve(10, 800.0);
    assert_eq!(play.member.fleet.desired, 8);
}

#[test]
fn whatever_may_be_the_first_record_to_be_written_can_be_understood_by_itself() {
    let mut play = Play::new("{ max: 4 }");
    let mut number = 0;
    let mut checkpoints = |waits, gaps| {
        let step = play.member.step(play.now, &BTreeMap::new(), false, 1, Standing { gaps, waits });
        play.now = Moment { instant: play.now.instant + SECOND, time: play.now.time + SECOND };
        let follows = step.record.number == std::mem::replace(&mut number, step.record.number) + 1;
        assert_ne!(follows, waits, "the other process has a record of the number before");
        step.record.checkpoint.is_some()
    };
    assert_eq!([true; 4].map(|waits| checkpoints(waits, 0)), [true; 4], "another process writes");
    assert_eq!([false; 3].map(|waits| checkpoints(waits, 0)), [false; 3]);
    // A full disk would be filled by them.
    assert_eq!([false; 3].map(|waits| checkpoints(waits, 1)), [false; 3]);
}

#[test]
fn a_thousand_fleets_do_not_write_their_memories_in_one_step() {
    let fleets = 1_000;
    let name = |number| FleetId::new(&format!("f{number}")).unwrap();
    let mut all: Vec<_> = (0..fleets).map(|number| Journaling::new(0, &name(number))).collect();
    let standing = Standing { gaps: 0, waits: false };
    for step in 0..400 {
        // A reload, as well as the beginning, is for all of them.
        if step == 150 {
            for one in &mut all {
                one.due = true;
            }
        }
        let written: usize = all.iter_mut().map(|one| usize::from(one.next(fleets, standing))).sum();
        if step == 0 || step == 150 {
            assert_eq!(written, fleets);
        } else {
            // A sixtieth of them is 17.
            assert!(written < 40, "{written} in step {step}");
            assert!(step < 60 || (151..210).contains(&step) || written > 3, "{written} in step {step}");
        }
    }
}
