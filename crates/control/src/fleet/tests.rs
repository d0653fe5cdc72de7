use std::net::SocketAddr;

use proptest::prelude::*;
use tidegate_core::{roster::InFlight, snapshot::ReadyCheck};
use tidegate_scaler::observed::Metrics;

use super::reconcile::{REMOVAL_DELAY, SURGE};
use super::*;
use crate::template::Program;

/// A template whose program is told from others by its name alone.
fn template(program: &str) -> Template {
    Template {
        program: Program::Command(vec![program.to_owned()]),
        ready: ReadyCheck { path: None, timeout: Duration::from_secs(30) },
        grace: Duration::from_secs(30),
        concurrency: None,
    }
}

/// A fleet whose instances do what a test says, and a clock that it sets.
struct Play {
    fleet: Fleet,
    now: Moment,
    /// Instances launched so far; the number of the last.
    launched: u64,
    draining: Vec<InstanceId>,
    launches: Vec<Duration>,
    start: Instant,
}

impl Play {
    fn new(desired: u32) -> Self {
        let now = Moment { instant: Instant::now(), time: Timestamp::from_secs(1_000) };
        let fleet = Fleet::new(FleetId::new("f").unwrap(), template("first"), desired);
        let start = now.instant;
        Self { fleet, now, launched: 0, draining: Vec::new(), launches: Vec::new(), start }
    }

    fn pass(&mut self, span: Duration) {
        self.now = Moment { instant: self.now.instant + span, time: self.now.time + span };
    }

    /// Reconciles until there is nothing more to do at this time.
    fn settle(&mut self) -> &mut Self {
        loop {
            let launched = &mut self.launched;
            let actions = self.fleet.reconcile(self.now, |_| {
                *launched += 1;
                InstanceId::new(&format!("f-{launched}")).unwrap()
            });
            if actions.is_empty() {
                return self;
            }
            for action in actions {
                match action {
                    Action::Start(_) => self.launches.push(self.now.instant - self.start),
                    Action::Drain(id) => {
                        self.fleet.instance(&id).unwrap().departure.ask();
                        self.draining.push(id);
                    }
                }
            }
        }
    }

    fn ready(&mut self, number: u64) -> &mut Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        self.fleet.ready(&id(number), address, self.now.instant);
        self
    }

    fn exit(&mut self, number: u64) -> &mut Self {
        self.fleet.exited(&id(number), "it broke".into(), self.now);
        self
    }

    /// Everything that starts becomes ready, and everything that drains is gone.
    fn flow(&mut self) -> &mut Self {
        for number in self.starting() {
            self.ready(number);
        }
        for drained in std::mem::take(&mut self.draining) {
            if self.fleet.instance(&drained).is_none_or(|one| one.state != State::Draining) {
                continue; // It was taken back.
            }
            self.fleet.exited(&drained, "asked to".into(), self.now);
        }
        self.settle()
    }

    fn starting(&self) -> Vec<u64> {
        self.numbers(|one| one.state == State::Starting)
    }

    fn numbers(&self, which: impl Fn(&Instance) -> bool) -> Vec<u64> {
        let chosen = self.fleet.instances().iter().filter(|one| which(one));
        chosen.map(|one| one.id.as_str()[2..].parse().unwrap()).collect()
    }

    fn load(&self, number: u64) -> InFlight {
        self.fleet.instance(&id(number)).unwrap().load.begin()
    }

    /// `number:state` of each instance.
    fn show(&self) -> String {
        let one = |instance: &Instance| format!("{}:{}", &instance.id.as_str()[2..], instance.state.name());
        self.fleet.instances().iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

fn id(number: u64) -> InstanceId {
    InstanceId::new(&format!("f-{number}")).unwrap()
}

/// A fleet of that size with everything ready.
fn ready(desired: u32) -> Play {
    let mut play = Play::new(desired);
    play.settle().flow();
    play
}

#[test]
fn the_youngest_that_starts_goes_before_one_that_serves() {
    let mut play = ready(2);
    play.fleet.desired = 4;
    play.settle();
    play.fleet.desired = 3;
    play.settle();
    assert_eq!(play.show(), "1:ready 2:ready 3:starting 4:draining");
}

#[test]
fn of_those_that_serve_the_least_busy_goes_and_of_equals_the_youngest() {
    let mut play = ready(4);
    let _requests = [play.load(1), play.load(1), play.load(3)];
    play.fleet.desired = 2;
    play.settle();
    assert_eq!(play.show(), "1:ready 2:draining 3:ready 4:draining");
}

#[test]
fn one_that_drains_is_taken_back_when_it_is_needed_again() {
    let mut play = ready(3);
    play.fleet.desired = 1;
    play.settle();
    play.fleet.desired = 2;
    play.settle();
    assert_eq!((play.launched, play.fleet.endpoints().len()), (3, 2), "nothing new is started");
    play.fleet.desired = 3;
    assert_eq!(play.settle().fleet.endpoints().len(), 3);
}

#[tokio::test]
async fn one_whose_end_has_begun_is_not_taken_back() {
    let mut play = ready(2);
    play.fleet.desired = 1;
    play.settle();
    let leaving = play.fleet.instances().iter().find(|one| one.state == State::Draining).unwrap();
    let departure = leaving.departure.clone();
    assert!(departure.end_after(std::future::ready(())).await);
    play.fleet.desired = 2;
    play.settle();
    assert_eq!((play.launched, play.fleet.endpoints().len()), (3, 1), "another is started");
}

#[test]
fn a_failed_one_is_not_started_again_when_fewer_are_wanted() {
    let mut play = Play::new(2);
    play.settle().ready(1).exit(2).settle();
    assert_eq!(play.show(), "1:ready 2:failed");
    play.fleet.desired = 1;
    play.settle();
    assert_eq!(play.show(), "1:ready");
}

#[test]
fn one_that_served_is_started_again_at_once_and_then_not_so_soon() {
    let mut play = ready(1);
    play.pass(Duration::from_secs(5));
    play.exit(1).settle();
    assert_eq!(play.show(), "2:starting");
    play.ready(2).exit(2).settle();
    assert_eq!(play.show(), "2:failed");
    play.pass(Duration::from_millis(100));
    play.settle();
    assert_eq!(play.show(), "3:starting");
    assert_eq!(play.fleet.restarts, 2);
}

#[test]
fn one_that_lived_longer_than_its_back_off_waits_no_more() {
    let mut play = ready(1);
    for number in 1..=5 {
        play.pass(WORTH_A_START * 4 / 5);
        play.exit(number).settle().ready(number + 1);
    }
    assert_eq!(play.show(), "6:ready");
}

#[test]
fn having_been_worth_its_start_forgives() {
    let mut play = ready(1);
    for number in 1..=5 {
        play.exit(number);
        play.pass(Duration::from_secs(10));
        play.settle().ready(number + 1);
    }
    play.pass(WORTH_A_START);
    play.exit(6).settle().ready(7).exit(7);
    play.pass(Duration::from_millis(100));
    play.settle();
    assert_eq!(play.show(), "8:starting", "the second failure in a row");
}

/// Lets `seconds` pass in tenths, in which whatever has started for `start_up` becomes ready; `each` is called once a tenth.
/// Returns how many were ready on average.
fn live(play: &mut Play, seconds: u32, start_up: Duration, mut each: impl FnMut(&mut Play, u32)) -> f64 {
    let mut ready = 0;
    for tenth in 0..seconds * 10 {
        play.pass(Duration::from_millis(100));
        for number in play.starting() {
            let launched = play.fleet.instance(&id(number)).unwrap().launched;
            if play.now.instant.saturating_duration_since(launched) >= start_up {
                play.ready(number);
            }
        }
        each(play, tenth);
        play.settle();
        ready += play.numbers(Instance::is_ready).len();
    }
    ready as f64 / f64::from(seconds * 10)
}

#[test]
fn instances_that_others_kill_all_the_time_are_back_at_once() {
    let start_up = Duration::from_millis(200);
    for seed in 0..20 {
        let (mut play, mut random) = (ready(4), fastrand::Rng::with_seed(seed));
        let kill = |play: &mut Play, tenth: u32| {
            if tenth.is_multiple_of(10)
                && let Some(&victim) = random.choice(&play.numbers(Instance::is_ready))
            {
                play.exit(victim);
            }
        };
        let mean = live(&mut play, 600, start_up, kill);
        // One of four is away for the 200 ms of its start in each second, and a little more where one was killed twice.
        assert!(mean > 3.6, "seed {seed}: {mean} of 4");
        live(&mut play, 2, start_up, |_, _| {});
        assert_eq!(play.numbers(Instance::is_ready).len(), 4, "seed {seed}: {}", play.show());
    }
}

#[test]
fn what_breaks_soon_after_it_is_ready_is_tried_seldom() {
    let mut play = ready(1);
    // It dies of its first request, half a second after it was ready; or it takes so long to start that a second is not much.
    for (start_up, lives) in [(100, 500), (2_000, 3_000)] {
        let before = play.launches.len();
        let die = |play: &mut Play, _| {
            for number in play.numbers(Instance::is_ready) {
                let State::Ready { since } = play.fleet.instance(&id(number)).unwrap().state else {
                    continue;
                };
                if play.now.instant.saturating_duration_since(since) >= Duration::from_millis(lives) {
                    play.exit(number);
                }
            }
        };
        live(&mut play, 600, Duration::from_millis(start_up), die);
        let starts = play.launches.len() - before;
        assert!((15..=32).contains(&starts), "{starts} starts in ten minutes");
    }
}

#[test]
fn while_none_becomes_ready_one_is_tried_at_a_time() {
    let mut play = Play::new(10);
    play.settle();
    assert_eq!(play.starting().len(), 10);
    for number in 1..=10 {
        play.exit(number).settle();
    }
    for _ in 0..60_000 {
        play.pass(Duration::from_millis(10));
        play.settle();
        assert!(play.starting().len() <= 1);
        for number in play.starting() {
            play.exit(number);
        }
    }
    // 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 12.7, 25.5, 51.1 and then every 30 s, in ten minutes.
    assert_eq!(play.launches.len(), 10 + 9 + 18);
    play.pass(Duration::from_secs(30));
    let first = play.settle().starting()[0];
    play.ready(first).settle().flow();
    assert_eq!(play.fleet.endpoints().len(), 10);
}

#[test]
fn a_new_program_proves_itself_and_then_replaces_the_old_a_quarter_at_a_time() {
    let mut play = ready(8);
    play.fleet.configure(template("second"));
    play.settle();
    assert_eq!(play.numbers(Instance::is_active), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    play.flow();
    assert_eq!(play.numbers(Instance::is_ready), [1, 2, 3, 4, 5, 6, 7, 9], "one for one");
    assert_eq!(play.starting(), [10, 11]);
    for _ in 0..6 {
        play.flow();
    }
    assert_eq!(play.numbers(Instance::is_ready), (9..17).collect::<Vec<_>>());
}

#[test]
fn a_new_program_that_fails_harms_nobody_and_the_old_one_is_still_looked_after() {
    let mut play = ready(2);
    play.fleet.configure(template("broken"));
    play.settle().exit(3).settle();
    assert_eq!(play.show(), "1:ready 2:ready 3:failed");
    play.exit(1).settle();
    assert_eq!(play.show(), "2:ready 3:failed 4:starting");
    assert_eq!(*play.fleet.template(play.fleet.instance(&id(4)).unwrap()), template("first"));
    play.ready(4);
    play.fleet.configure(template("first"));
    play.settle();
    assert_eq!(play.show(), "2:ready 4:ready", "back to what works");
}

#[test]
fn what_is_changed_beside_the_program_restarts_nothing() {
    let mut play = ready(2);
    play.fleet.configure(Template { grace: Duration::from_secs(1), ..template("first") });
    play.settle();
    assert_eq!(play.show(), "1:ready 2:ready");
    assert_eq!(play.fleet.template(&play.fleet.instances()[0]).grace, Duration::from_secs(1));
}

#[test]
fn a_removed_fleet_serves_a_moment_longer_and_may_come_back() {
    let mut play = ready(2);
    play.fleet.remove(play.now.instant);
    play.settle();
    assert_eq!(play.show(), "1:ready 2:ready");
    play.fleet.configure(template("first"));
    play.pass(REMOVAL_DELAY);
    play.settle();
    assert_eq!(play.show(), "1:ready 2:ready");
    play.fleet.remove(play.now.instant);
    play.pass(REMOVAL_DELAY);
    play.settle();
    assert_eq!(play.show(), "1:draining 2:draining");
    play.flow();
    assert!(play.fleet.gone());
}

#[test]
fn time_is_counted_from_launch_until_gone() {
    let mut play = Play::new(2);
    play.settle();
    play.pass(Duration::from_secs(3));
    play.ready(1).ready(2);
    play.fleet.desired = 1;
    play.settle();
    play.pass(Duration::from_secs(2));
    play.flow();
    play.pass(Duration::from_secs(10));
    assert_eq!(play.fleet.instance_time(play.now.instant), Duration::from_secs(5 + 15));
}

#[derive(Debug, Clone)]
enum Step {
    Desire(u32),
    Configure(u8),
    Ready(usize),
    Exit(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..9_u32).prop_map(Step::Desire),
        (0..3_u8).prop_map(Step::Configure),
        (0..12_usize).prop_map(Step::Ready),
        (0..12_usize).prop_map(Step::Ready),
        (0..12_usize).prop_map(Step::Exit),
        (0..40_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_no_needed_instance_is_drained_and_the_fleet_finds_its_way(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut play = Play::new(1);
        let mut program = 0;
        play.settle();
        for step in steps {
            let numbers = play.numbers(|_| true);
            match step {
                Step::Desire(count) => play.fleet.desired = count,
                Step::Configure(number) => {
                    program = number;
                    play.fleet.configure(template(&number.to_string()));
                }
                Step::Ready(index) if index < numbers.len() => { play.ready(numbers[index]); }
                Step::Exit(index) if index < numbers.len() => { play.exit(numbers[index]); }
                Step::Pass(millis) => play.pass(Duration::from_millis(millis)),
                Step::Ready(_) | Step::Exit(_) => {}
            }
            let (before, desired) = (play.fleet.endpoints().len(), play.fleet.desired as usize);
            play.settle();
            prop_assert!(play.fleet.endpoints().len() >= before.min(desired), "{}", play.show());
            // Those that replace others, and one on trial.
            let most = desired + desired.div_ceil(SURGE as usize) + 1;
            let running = play.numbers(|one| one.is_active() && one.runs()).len();
            prop_assert!(running <= most, "{desired} desired: {}", play.show());
        }
        // From here on everything goes well.
        for _ in 0..40 {
            play.pass(LONGEST);
            play.settle().flow();
        }
        prop_assert_eq!(play.fleet.endpoints().len(), play.fleet.desired as usize);
        prop_assert_eq!(play.fleet.instances().len(), play.fleet.desired as usize);
        if program > 0 {
            prop_assert!(play.fleet.trial.is_none());
        }
    }
}

proptest! {
    #[test]
    fn who_leaves_is_idler_than_who_stays_or_as_idle_and_younger_and_comes_back_when_needed(
        loads in prop::collection::vec(0..4_usize, 1..12),
        steps in prop::collection::vec(0..12_u32, 1..6),
    ) {
        let mut play = ready(loads.len() as u32);
        let numbers = play.numbers(Instance::is_ready);
        let begun: Vec<(u64, usize)> = numbers.into_iter().zip(loads.iter().copied()).collect();
        let _requests: Vec<InFlight> =
            begun.iter().flat_map(|&(number, load)| vec![number; load]).map(|number| play.load(number)).collect();
        // Nothing ends here, so whoever is told to leave is there to be had again.
        let mut staying = begun;
        let mut left: Vec<(u64, usize)> = Vec::new();
        for desired in steps.into_iter().map(|count| count as usize % (loads.len() + 1)) {
            play.fleet.desired = desired as u32;
            play.settle();
            // The same by sorting all of them.
            staying.sort_by_key(|&(number, load)| (load, std::cmp::Reverse(number)));
            while staying.len() > desired {
                left.push(staying.remove(0));
            }
            left.sort_unstable();
            while staying.len() < desired {
                staying.push(left.remove(0));
            }
            let mut expected: Vec<u64> = staying.iter().map(|one| one.0).collect();
            expected.sort_unstable();
            prop_assert_eq!(play.numbers(Instance::is_ready), expected, "{}", play.show());
            prop_assert!(play.numbers(|one| one.state == State::Starting).is_empty(), "{}", play.show());
        }
    }
}

/// No back-off lasts longer.
const LONGEST: Duration = Duration::from_secs(30);

#[test]
fn every_instance_has_as_many_places_as_its_own_template_says() {
    let limited = |count, program| Template { concurrency: NonZeroU32::new(count), ..template(program) };
    let mut play = ready(2);
    assert!(play.fleet.turns().is_none());
    let limits = |play: &Play| {
        play.fleet.instances().iter().map(|one| one.load.limit().map(NonZeroU32::get)).collect::<Vec<_>>()
    };
    play.fleet.configure(limited(5, "first"));
    assert_eq!(limits(&play), [Some(5); 2]);
    assert!(play.fleet.turns().is_some());
    play.fleet.desired = 3;
    play.settle();
    assert_eq!(limits(&play), [Some(5); 3], "of a new one too");
    play.fleet.configure(limited(2, "second"));
    play.settle();
    assert_eq!(limits(&play), [Some(5), Some(5), Some(5), Some(2)], "the new program is on trial");
    play.fleet.configure(template("first"));
    assert_eq!(limits(&play)[..3], [None; 3]);
    assert!(play.fleet.turns().is_none());
}

#[test]
fn whoever_is_refused_is_told_when_an_instance_is_expected() {
    let second = Duration::from_secs(1);
    let nobody = Metrics::default();
    let mut play = Play::new(0);
    let told =
        |play: &Play, start_up, metrics: &Metrics| play.fleet.relief(start_up, metrics, play.now.instant);
    assert_eq!(told(&play, Some(8 * second), &nobody), 8 * second, "it will be started");
    play.fleet.want(1, &[]);
    play.settle();
    play.pass(3 * second);
    assert_eq!(told(&play, Some(8 * second), &nobody), 5 * second);
    assert_eq!(told(&play, None, &nobody), 3 * second, "as long again as it has taken");
    play.pass(7 * second);
    assert_eq!(told(&play, Some(8 * second), &nobody), Duration::ZERO, "at any moment");
    let id = play.fleet.instances()[0].id.clone();
    play.fleet.exited(&id, "broken".to_owned(), play.now);
    let until = told(&play, Some(8 * second), &nobody);
    assert!(until >= 8 * second && until <= 9 * second, "after the pause it starts again: {until:?}");
}

#[test]
fn whoever_is_refused_by_a_busy_fleet_is_told_when_the_queue_is_worked_off() {
    let mut play = Play::new(1);
    play.settle();
    let id = play.fleet.instances()[0].id.clone();
    play.fleet.ready(&id, ([127, 0, 0, 1], 80).into(), play.now.instant);
    let told = |queued: f64, served: f64| {
        let metrics = Metrics { queued: Some(queued), served_rate: Some(served), ..Metrics::default() };
        play.fleet.relief(Some(Duration::from_secs(9)), &metrics, play.now.instant)
    };
    assert_eq!(told(300.0, 20.0), Duration::from_secs(15));
    assert_eq!([told(0.0, 20.0), told(0.0, 0.0), told(5.0, 0.0)], [Duration::ZERO; 3], "nothing is known");
}
