use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tidegate_core::{FleetId, InstanceId, Timestamp, snapshot::ReadyCheck};

use super::*;
use crate::{
    clock::Moment,
    driver::exec::Listed,
    fleet::Action,
    template::{Program, Template},
};

struct Play {
    fleet: Fleet,
    now: Moment,
    launched: u32,
}

fn pool(name: &str) -> PoolId {
    PoolId::new(name).unwrap()
}

impl Play {
    fn new() -> Self {
        let template = Template {
            program: Program::Command(vec!["server".to_owned()]),
            ready: ReadyCheck { path: None, timeout: Duration::from_secs(30) },
            grace: Duration::from_secs(30),
            concurrency: None,
        };
        let now = Moment { instant: Instant::now(), time: Timestamp::from_secs(1_000) };
        Self { fleet: Fleet::new(FleetId::new("f").unwrap(), template, 0), now, launched: 0 }
    }

    fn want(&mut self, shares: &[(&str, u32)]) -> &mut Self {
        let share = |&(name, count): &(&str, u32)| PoolShare { pool: pool(name), count, price: 0.1 };
        self.fleet.want(99, &shares.iter().map(share).collect::<Vec<_>>());
        self.settle()
    }

    fn settle(&mut self) -> &mut Self {
        let launched = &mut self.launched;
        let actions = self.fleet.reconcile(self.now, |_| {
            *launched += 1;
            InstanceId::new(&format!("f-{launched}")).unwrap()
        });
        for action in actions {
            if let Action::Drain(id) = action {
                self.fleet.instance(&id).unwrap().departure.ask();
            }
        }
        self
    }

    fn all_ready(&mut self) -> &mut Self {
        let starting = self.fleet.instances().iter().filter(|one| one.state == State::Starting);
        for id in starting.map(|one| one.id.clone()).collect::<Vec<_>>() {
            self.fleet.ready(&id, SocketAddr::from(([127, 0, 0, 1], 9)), self.now.instant);
        }
        self.settle()
    }

    /// Ready and starting instances of `name`.
    fn of(&self, name: &str) -> (usize, usize) {
        let of = |state: &str| {
            let all = self.fleet.instances().iter();
            all.filter(|one| one.pool == Some(pool(name)) && one.state.name() == state).count()
        };
        (of("ready"), of("starting"))
    }
}

#[test]
fn instances_are_launched_where_most_are_missing() {
    let mut play = Play::new();
    play.want(&[("a", 2), ("b", 3)]);
    assert_eq!((play.of("a"), play.of("b"), play.fleet.desired), ((0, 2), (0, 3), 5));
    play.all_ready().want(&[("a", 2), ("b", 4)]);
    assert_eq!((play.of("a"), play.of("b")), ((2, 0), (3, 1)));
}

#[test]
fn an_instance_of_the_wrong_pool_goes_when_its_successor_is_ready() {
    let mut play = Play::new();
    play.want(&[("a", 4), ("b", 0)]).all_ready().want(&[("a", 1), ("b", 3)]);
    assert_eq!((play.of("a"), play.of("b")), ((4, 0), (0, 3)), "all of the old serve");
    play.all_ready();
    assert_eq!((play.of("a"), play.of("b")), ((1, 0), (3, 0)));
}

#[test]
fn fewer_are_taken_from_the_pool_that_has_too_many() {
    let mut play = Play::new();
    play.want(&[("a", 3), ("b", 3)]).all_ready().want(&[("a", 3), ("b", 1)]);
    assert_eq!((play.of("a"), play.of("b")), ((3, 0), (1, 0)));
}

#[test]
fn what_a_pool_takes_back_is_told_once_and_replaced_as_the_next_decision_says() {
    let mut play = Play::new();
    play.want(&[("a", 1), ("b", 2)]).all_ready();
    let noticed = play.fleet.instances().iter().find(|one| one.pool == Some(pool("b"))).unwrap().id.clone();
    let listed = Listed { id: noticed, endpoint: None, revision: None, pool: None, leaving: true };
    play.fleet.listed(vec![listed], "r", play.now);
    let seen = play.fleet.see_pools();
    assert_eq!((seen[&pool("b")].ready, seen[&pool("b")].reclaimed), (1, 1));
    assert_eq!(play.fleet.see_pools()[&pool("b")].reclaimed, 0);
    play.settle();
    assert_eq!((play.of("a"), play.of("b")), ((1, 0), (1, 0)), "nothing comes from there meanwhile");
    play.want(&[("a", 2), ("b", 1)]);
    assert_eq!((play.of("a"), play.of("b")), ((1, 1), (1, 0)));
}

/// Announces the end of all of `name`, with a notice of ten seconds.
fn reclaim(play: &mut Play, name: &str) {
    let of_it = play.fleet.instances().iter().filter(|one| one.pool == Some(pool(name)));
    for id in of_it.map(|one| one.id.clone()).collect::<Vec<_>>() {
        assert_eq!(play.fleet.announce(&id, Duration::from_secs(10), play.now.instant), None);
    }
    play.settle();
}

fn serving(play: &Play) -> usize {
    play.fleet.endpoints().len()
}

#[test]
fn what_will_be_taken_away_serves_until_others_can() {
    let mut play = Play::new();
    play.want(&[("steady", 0), ("a", 2), ("b", 2)]).all_ready();
    reclaim(&mut play, "a");
    reclaim(&mut play, "b");
    assert_eq!((serving(&play), play.fleet.desired), (4, 0), "what is wanted instead is not decided yet");
    assert_eq!(play.fleet.see_pools()[&pool("b")].reclaimed, 2);
    play.want(&[("steady", 3), ("a", 0), ("b", 0)]);
    assert_eq!((serving(&play), play.of("steady")), (4, (0, 3)));
    play.all_ready();
    assert_eq!((serving(&play), play.of("steady")), (3, (3, 0)));
    let draining = play.fleet.instances().iter().filter(|one| one.state == State::Draining).count();
    assert_eq!(draining, 4);
}

#[test]
fn what_will_be_taken_away_drains_while_some_of_the_notice_is_left() {
    let mut play = Play::new();
    play.want(&[("steady", 0), ("a", 2)]).all_ready();
    reclaim(&mut play, "a");
    play.fleet.see_pools();
    play.want(&[("steady", 2), ("a", 0)]);
    for (passed, serving_then) in [(7_499, 2), (1, 0)] {
        play.now.instant += Duration::from_millis(passed);
        play.settle();
        assert_eq!(serving(&play), serving_then);
    }
    assert_eq!(play.of("steady"), (0, 2), "their successors go on starting");
}

#[test]
fn what_will_be_taken_away_is_not_missed_when_it_dies_before() {
    let mut play = Play::new();
    play.want(&[("steady", 0), ("a", 1)]).all_ready();
    reclaim(&mut play, "a");
    let id = play.fleet.instances()[0].id.clone();
    play.fleet.exited(&id, "killed".into(), play.now);
    assert!(play.settle().fleet.instances().is_empty());
    assert!(play.fleet.last_failure.is_none());
}

#[test]
fn what_is_found_keeps_its_pool() {
    let mut play = Play::new();
    let found = |number: u32, pool: &str| Listed {
        id: InstanceId::new(&format!("f-old-{number}")).unwrap(),
        endpoint: None,
        revision: None,
        pool: Some(pool.to_owned()),
        leaving: false,
    };
    play.fleet.listed(vec![found(1, "a"), found(2, "b")], "r", play.now);
    play.want(&[("a", 1), ("b", 1)]);
    assert_eq!((play.of("a"), play.of("b"), play.launched), ((0, 1), (0, 1), 0));
}

#[test]
fn a_fleet_of_pools_ends_whole() {
    let mut play = Play::new();
    play.want(&[("a", 2), ("b", 2)]).all_ready();
    assert_eq!(play.fleet.stop().len(), 4);
}
