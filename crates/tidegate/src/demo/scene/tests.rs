use std::{sync::Arc, time::Duration};

use tidegate_control::view::{ConfigView, DecisionView, FleetView, Reloads, RoundsView};
use tidegate_core::{FleetId, policy::Mode};
use tidegate_scaler::{
    Decision as Decided, Learned,
    decision::{Adjustment, Recommendation},
    observed::{Instances, Metrics},
    record::Account,
};

use super::{super::day::clock, *};

/// A scene, and the control plane it is made from. The day lasts 24 minutes: a minute is a second.
pub(crate) struct Day {
    pub(crate) view: View,
    pub(crate) scene: Scene,
}

impl Day {
    pub(crate) fn new() -> Self {
        let view = view();
        Self { scene: Scene::new(&view), view }
    }

    pub(crate) fn fleet(&mut self) -> &mut FleetView {
        Arc::make_mut(&mut self.view.fleets[0])
    }

    pub(crate) fn decide(&mut self, from: u32, to: u32) {
        let at = Timestamp::from_secs(self.view.at.as_micros() / 1_000_000 + 1);
        self.view.at = at;
        let decision = Decided {
            desired: to,
            previous: from,
            recommendations: vec![Recommendation {
                trigger: "target arrival rate".to_owned(),
                wanted: Some(to),
                because: "100 requests/s".to_owned(),
            }],
            winner: Some(0),
            adjustments: vec![Adjustment { rule: "pace".into(), from, to, because: "slowly".to_owned() }],
            otherwise: Vec::new(),
            mix: None,
            warning: None,
        };
        let fleet = self.fleet();
        fleet.desired = to;
        fleet.changes += 1;
        fleet.last_decision = Some(DecisionView { at, decision: Arc::new(decision) });
    }

    /// Lets the day advance to this minute.
    pub(crate) fn at(&mut self, minutes: u64) {
        let load = Progress {
            elapsed: Duration::from_secs(minutes),
            duration: Duration::from_mins(24),
            offered_rate: 100.0,
            requests: 7,
            latency_p50: Some(Duration::from_micros(1_500)),
            ..Progress::default()
        };
        self.scene.update(load, &self.view);
    }
}

fn view() -> View {
    let fleet = FleetView {
        messages: None,
        name: FleetId::new(FLEET).unwrap(),
        mode: Mode::Act,
        desired: 1,
        recommended: 1,
        min: 1,
        max: 8,
        concurrency: None,
        instances: Vec::new(),
        states: Instances { ready: 1, ..Instances::default() },
        last_decision: None,
        last_step: None,
        metrics: Metrics::default(),
        learned: Learned { work: None, safe_utilization: 1.0, rate: None },
        forecasts: Vec::new(),
        candidate: None,
        cost: Account::default().into(),
        routes: Vec::new(),
        pools: Vec::new(),
        budget: None,
        start_up_seconds: None,
        instance_seconds: 5.0,
        changes: 3,
        restarts: 0,
        last_failure: None,
    };
    let config = ConfigView {
        generation: 1,
        loaded_at: Timestamp::default(),
        reloads: Reloads::default(),
        last_error_at: None,
        last_reload: None,
        needs_restart: Vec::new(),
    };
    View {
        sources: Vec::new(),
        at: Timestamp::default(),
        stopping: false,
        chaos: false,
        config,
        fleets: vec![Arc::new(fleet)],
        journal_lost: 0,
        rounds: RoundsView::default(),
    }
}

#[test]
fn what_was_before_the_day_does_not_count() {
    let mut day = Day::new();
    day.fleet().instance_seconds = 65.0;
    day.at(1);
    assert_eq!(
        (day.scene.decisions(), day.scene.instance_seconds(), day.scene.peak_instances()),
        (0, 60.0, 1)
    );
}

#[test]
fn the_peak_is_the_most_that_ran_at_a_time() {
    let mut day = Day::new();
    for (starting, ready, draining) in [(2, 3, 0), (0, 4, 9), (0, 1, 0)] {
        day.fleet().states = Instances { starting, ready, draining, failed: 0 };
        day.at(1);
    }
    assert_eq!(day.scene.peak_instances(), 5);
}

#[test]
fn a_decision_is_noticed_once() {
    let mut day = Day::new();
    day.at(60);
    assert_eq!(day.scene.decision, None);
    day.decide(1, 3);
    day.at(720);
    day.at(800);
    let decision = day.scene.decision.clone().unwrap();
    assert_eq!((decision.from, decision.to, clock(decision.noticed)), (1, 3, "12:00".into()));
    day.decide(3, 2);
    day.at(1_080);
    assert_eq!(clock(day.scene.decision.as_ref().unwrap().noticed), "18:00");
    assert_eq!(day.scene.decisions(), 2);
}

#[test]
fn columns_span_the_day_and_leave_no_hole() {
    let mut day = Day::new();
    for (minutes, ready) in [(0, 1), (10, 3), (125, 4), (300, 8)] {
        day.fleet().states.ready = ready;
        day.at(minutes);
    }
    // An hour each: two samples in the first, none in the second, and so on.
    assert_eq!(day.scene.ready(24), [2, 2, 4, 4, 4, 8]);
    assert_eq!(day.scene.demand(24), [100; 6]);
    day.at(1_440);
    assert_eq!(day.scene.ready(24).len(), 24);
    assert_eq!(day.scene.ready(1), [5]);
    assert!(day.scene.ready(0).is_empty());
}
