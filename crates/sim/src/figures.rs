//! The figures that a run is judged by.
//!
//! The elasticity figures are those of SPEC RG (Herbst et al.; Bauer et al., TPDS 2019), with demand in
//! instances, `max(1, ceil(arrivals / capacity))`, against ready instances. Shares are fractions.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::supply::Bill;

/// An action against the previous one within this many seconds is a reversal.
const REVERSAL_SECONDS: usize = 600;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// What a run cost and whom it hurt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Of an oracle with the same start-up time that serves everything.
    pub floor_instance_hours: f64,
    /// From launch to stop.
    pub instance_hours: f64,
    pub cost_over_floor: f64,
    /// Share of requests.
    pub violated_requests: f64,
    /// Share of seconds in which requests were violated.
    pub violated_time: f64,
    /// Changes of the count.
    pub actions_per_day: f64,
    /// Changes against the direction of the one before, within ten minutes.
    pub reversals_per_day: f64,
    /// Mean share of demand that found no ready instance.
    pub theta_u: f64,
    /// Mean ready instances beyond demand, as a share of demand.
    pub theta_o: f64,
    /// Share of time with too few ready instances.
    pub tau_u: f64,
    /// Share of time with more ready instances than demand needs.
    pub tau_o: f64,
    /// Share of time in which demand and ready instances move in different directions.
    pub upsilon: f64,
    /// In US dollars, at the prices of pools, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// What as many instances as were wanted would have cost on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand_usd: Option<f64>,
}

/// One second as it went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Second {
    pub(crate) arrivals: u32,
    pub(crate) violated: u32,
    /// Instances that demand needs, that are ready and that are paid for.
    pub(crate) needed: u32,
    pub(crate) ready: u32,
    pub(crate) launched: u32,
}

/// Adds up a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seconds: usize,
    last: Option<Second>,
    last_action: Option<(usize, bool)>,
    instance_seconds: u64,
    arrivals: u64,
    violated: u64,
    violated_seconds: u64,
    actions: u64,
    reversals: u64,
    theta_u: f64,
    theta_o: f64,
    under: u64,
    over: u64,
    apart: u64,
    paid: f64,
    on_demand: f64,
}

impl Tally {
    pub(crate) fn add(&mut self, second: Second) {
        self.seconds += 1;
        self.instance_seconds += u64::from(second.launched);
        self.arrivals += u64::from(second.arrivals);
        self.violated += u64::from(second.violated);
        self.violated_seconds += u64::from(second.violated > 0);
        let (needed, ready) = (f64::from(second.needed), f64::from(second.ready));
        match second.ready.cmp(&second.needed) {
            Ordering::Less => {
                self.under += 1;
                self.theta_u += (needed - ready) / needed;
            }
            Ordering::Greater => {
                self.over += 1;
                self.theta_o += (ready - needed) / needed;
            }
            Ordering::Equal => {}
        }
        if let Some(last) = self.last {
            self.apart += u64::from(second.needed.cmp(&last.needed) != second.ready.cmp(&last.ready));
        }
        self.last = Some(second);
    }

    /// What the second that was added last costs.
    pub(crate) fn charge(&mut self, bill: Bill) {
        self.paid += bill.paid / 3_600.0;
        self.on_demand += bill.on_demand / 3_600.0;
    }

    /// The count became `to` at the beginning of the second that is added next.
    pub(crate) fn act(&mut self, from: u32, to: u32) {
        let grows = to > from;
        let against = |&(at, grew): &(usize, bool)| grew != grows && self.seconds - at <= REVERSAL_SECONDS;
        self.actions += 1;
        self.reversals += u64::from(self.last_action.as_ref().is_some_and(against));
        self.last_action = Some((self.seconds, grows));
    }

    /// Requests that were never served, found at the end.
    pub(crate) fn strand(&mut self, requests: u64) {
        self.violated += requests;
    }

    pub(crate) fn figures(&self, floor_instance_seconds: u64) -> Figures {
        let seconds = (self.seconds as f64).max(1.0);
        let (floor, paid) = (floor_instance_seconds as f64, self.instance_seconds as f64);
        let share = |count: u64| count as f64 / seconds;
        let per_day = |count: u64| count as f64 * SECONDS_PER_DAY / seconds;
        Figures {
            floor_instance_hours: floor / 3_600.0,
            instance_hours: paid / 3_600.0,
            cost_over_floor: paid / floor.max(1.0),
            violated_requests: self.violated as f64 / (self.arrivals as f64).max(1.0),
            violated_time: share(self.violated_seconds),
            actions_per_day: per_day(self.actions),
            reversals_per_day: per_day(self.reversals),
            theta_u: self.theta_u / seconds,
            theta_o: self.theta_o / seconds,
            tau_u: share(self.under),
            tau_o: share(self.over),
            upsilon: self.apart as f64 / (seconds - 1.0).max(1.0),
            usd: (self.on_demand > 0.0).then_some(self.paid),
            on_demand_usd: (self.on_demand > 0.0).then_some(self.on_demand),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(needed: u32, ready: u32, violated: u32) -> Second {
        Second { arrivals: needed * 100, violated, needed, ready, launched: ready + 1 }
    }

    #[test]
    fn figures_worked_out_by_hand() {
        let mut tally = Tally::default();
        for one in [second(4, 4, 0), second(5, 4, 100), second(5, 4, 100), second(2, 3, 0), second(2, 1, 0)] {
            tally.add(one);
        }
        let figures = tally.figures(18);
        let close =
            |value: f64, expected: f64| assert!((value - expected).abs() < 1e-12, "{value}, not {expected}");
        close(figures.cost_over_floor, 21.0 / 18.0);
        close(figures.violated_requests, 200.0 / 1_800.0);
        close(figures.violated_time, 0.4);
        close(figures.theta_u, (0.2 + 0.2 + 0.5) / 5.0);
        close(figures.theta_o, 0.5 / 5.0);
        close(figures.tau_u, 0.6);
        close(figures.tau_o, 0.2);
        // Demand rose alone, both stood, both fell, capacity fell alone.
        close(figures.upsilon, 0.5);
    }

    #[test]
    fn a_reversal_is_a_turn_within_ten_minutes() {
        let mut tally = Tally::default();
        let counts = [(0, 3), (1, 5), (2, 4), (700, 6), (1_300, 5), (1_400, 4)];
        let mut count = 2;
        for at in 0..2_000 {
            if let Some(&(_, next)) = counts.iter().find(|&&(second, _)| second == at) {
                tally.act(count, next);
                count = next;
            }
            tally.add(second(1, 1, 0));
        }
        // Down at 2 and at 1300, which is ten minutes after 700; up at 700 is too late.
        assert_eq!((tally.actions, tally.reversals), (6, 2));
    }
}
