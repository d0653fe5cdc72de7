//! The workers of a node, and the fleet that they are where their number changes.

use std::{num::NonZeroU32, time::Duration};

use tidegate_core::{
    FleetId,
    policy::{Target, TargetMetric, Trigger},
    snapshot::{Driver, Fleet, ReadyCheck, Run, WORKERS, Workers},
};

use crate::{
    decode::Located,
    raw,
    resolve::{
        Resolver,
        fleet::{Known, worker_policy},
    },
};

/// How busy workers are to be, unless said otherwise.
const BUSY: f64 = 0.7;

/// How far from that without consequence.
const TOLERANCE: f64 = 0.1;

/// How long a worker may take to start: its scripts may ask others.
const READY_WITHIN: Duration = Duration::from_secs(30);

impl Resolver<'_, '_> {
    pub(super) fn workers(&mut self, raw: &raw::Workers) -> Option<(Workers, Option<Fleet>)> {
        match raw {
            raw::Workers::Auto => Some((Workers::Auto, None)),
            raw::Workers::Fixed(count) => Some((Workers::Fixed(at_least_one(*count)), None)),
            raw::Workers::Scaled(given) => {
                let fleet = self.scaled_workers(given)?;
                let (min, max) =
                    (at_least_one(*given.value.min.value()?), at_least_one(*given.value.max.value()?));
                Some((Workers::Fleet { min, max }, Some(fleet)))
            }
        }
    }

    fn scaled_workers(&mut self, given: &Located<Box<raw::ScaledWorkers>>) -> Option<Fleet> {
        let raw = &given.value;
        let name = FleetId::new(WORKERS).expect("letters are a name");
        if self.fleets.as_ref().is_some_and(|fleets| fleets.contains(&name)) {
            let message = format!("a fleet is called `{WORKERS}`, as the workers themselves are");
            self.report.error(given.place, message, "rename the fleet, or make `workers` a number");
        }
        let known =
            Known { routes: self.route_names.as_ref(), sources: self.source_names.as_ref(), consumed: None };
        let usual = Trigger::Target(Target {
            metric: TargetMetric::Utilization,
            route: None,
            value: BUSY,
            tolerance: TOLERANCE,
        });
        let policy = worker_policy(raw, given.place, known, usual, self.report);
        let timeouts = self.raw.timeouts.value();
        Some(Fleet {
            name,
            run: Run::Node,
            driver: Driver::Thread,
            ready: ReadyCheck { path: None, timeout: READY_WITHIN },
            grace: timeouts?.drain.value()?.0,
            concurrency: None,
            policy: policy?,
            mode: *raw.mode.value()?,
            candidate: None,
            price: raw.price.optional()?.map(|price| price.value.0),
        })
    }
}

fn at_least_one(count: raw::WorkerCount) -> NonZeroU32 {
    NonZeroU32::new(count.as_u32()).unwrap_or(NonZeroU32::MIN)
}
