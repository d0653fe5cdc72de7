//! Makes things go wrong that somebody asked for: see [`chaos`](crate::chaos).

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tidegate_core::{FleetId, InstanceId, PoolId};
use tokio::time::sleep;

use super::plane::Plane;
use crate::{
    chaos::{Disturbance, Refused},
    clock::Moment,
    driver::process::signal_group,
    fleet::Action,
    handle::Wish,
};

/// A slow instance runs and stands still for so long in turn.
const BEAT: Duration = Duration::from_millis(25);

/// What has been asked for and lasts.
#[derive(Debug, Default)]
pub(super) struct Havoc {
    pub(super) allowed: bool,
    /// No metric is seen until then.
    blind: Option<Instant>,
    /// What is started until then is started so much later.
    delay: Option<(Instant, Duration)>,
    /// When whom to start.
    late: Vec<(Instant, FleetId, InstanceId)>,
}

impl Havoc {
    pub(super) fn is_blind(&self) -> bool {
        self.blind.is_some_and(|until| Instant::now() < until)
    }

    /// Puts a start off, if starts are; says whether.
    pub(super) fn put_off(&mut self, fleet: &FleetId, id: &InstanceId) -> bool {
        let now = Instant::now();
        let Some((_, by)) = self.delay.filter(|(until, _)| now < *until) else {
            return false;
        };
        self.late.push((now + by, fleet.clone(), id.clone()));
        true
    }

    /// Those whose start is due now.
    pub(super) fn due(&mut self) -> Vec<(FleetId, InstanceId)> {
        let now = Instant::now();
        let due = self.late.extract_if(.., |(at, ..)| *at <= now);
        due.map(|(_, fleet, id)| (fleet, id)).collect()
    }

    /// Those that were put off and will never be started.
    pub(super) fn never(&mut self) -> Vec<(FleetId, InstanceId)> {
        self.late.drain(..).map(|(_, fleet, id)| (fleet, id)).collect()
    }
}

impl Plane {
    /// Does what is asked for, or says why not.
    pub(super) fn grant(&mut self, (disturbance, answer): Wish) {
        // Who asked may have given up.
        _ = answer.send(self.disturb(&disturbance));
    }

    fn disturb(&mut self, disturbance: &Disturbance) -> Result<(), Refused> {
        if !self.havoc.allowed {
            return Err(Refused::Disabled);
        }
        disturbance.check()?;
        tracing::warn!(?disturbance, "chaos");
        match disturbance {
            Disturbance::Kill { instance } => self.kill(instance)?,
            Disturbance::Pause { instance, seconds } => {
                let pid = self.process(instance)?;
                self.tasks.spawn(pause(pid, Duration::from_secs_f64(*seconds)));
            }
            Disturbance::Slow { instance, seconds } => {
                let pid = self.process(instance)?;
                self.tasks.spawn(slow(pid, Duration::from_secs_f64(*seconds)));
            }
            Disturbance::Reclaim { instance, seconds } => {
                self.reclaim(instance, Duration::from_secs_f64(*seconds))?;
            }
            Disturbance::ReclaimPool { fleet, pool, seconds } => {
                self.reclaim_pool(fleet, pool, Duration::from_secs_f64(*seconds))?;
            }
            Disturbance::DelayDrivers { by, seconds } => {
                let until = Instant::now() + Duration::from_secs_f64(*seconds);
                self.havoc.delay = Some((until, Duration::from_secs_f64(*by)));
            }
            Disturbance::DropMetrics { seconds } => {
                self.havoc.blind = Some(Instant::now() + Duration::from_secs_f64(*seconds));
            }
        }
        Ok(())
    }

    /// Ends an instance: its process by force, whatever commands drive by `stop`, and a thread, which nobody can kill, as if it
    /// were no longer needed, only that the fleet knows nothing of it.
    fn kill(&mut self, id: &InstanceId) -> Result<(), Refused> {
        let (fleet, pid) = self.running(id)?;
        match pid {
            Some(pid) => signal_group(pid, Signal::KILL),
            None => match self.drivers.end(&fleet, id) {
                Some(end) => _ = self.tasks.spawn(end),
                None => self.drain(&fleet, id),
            },
        }
        Ok(())
    }

    /// Announces the end of an instance, and brings it.
    fn reclaim(&mut self, id: &InstanceId, notice: Duration) -> Result<(), Refused> {
        let (fleet, pid) = self.running(id)?;
        let action =
            self.fleets.get_mut(&fleet).and_then(|member| member.fleet.announce(id, notice, Instant::now()));
        self.publish();
        if let Some(Action::Drain(id)) = action {
            self.drain(&fleet, &id);
        }
        self.touch_all();
        let end = self.drivers.end(&fleet, id);
        self.tasks.spawn(async move {
            sleep(notice).await;
            match (pid, end) {
                (Some(pid), _) => signal_group(pid, Signal::KILL),
                (None, Some(end)) => end.await,
                (None, None) => {}
            }
        });
        Ok(())
    }

    fn reclaim_pool(&mut self, name: &FleetId, pool: &PoolId, notice: Duration) -> Result<(), Refused> {
        let instances = self.fleets.get(name).into_iter().flat_map(|member| member.fleet.instances());
        let of_pool = instances.filter(|one| one.runs() && one.pool.as_ref() == Some(pool));
        let ids: Vec<_> = of_pool.map(|one| one.id.clone()).collect();
        if ids.is_empty() {
            return Err(Refused::NothingOfPool { fleet: name.clone(), pool: pool.clone() });
        }
        ids.iter().try_for_each(|id| self.reclaim(id, notice))
    }

    fn process(&self, id: &InstanceId) -> Result<u32, Refused> {
        self.running(id)?.1.ok_or_else(|| Refused::NoProcess(id.clone()))
    }

    /// The fleet of an instance that runs, and its process if it has one of its own.
    fn running(&self, id: &InstanceId) -> Result<(FleetId, Option<u32>), Refused> {
        let found = self.fleets.iter().find_map(|(name, member)| {
            let instance = member.fleet.instance(id).filter(|instance| instance.runs())?;
            Some((name.clone(), instance.pid))
        });
        found.ok_or_else(|| Refused::NoInstance(id.clone()))
    }

    /// Starts what was put off and is due.
    pub(super) fn start_late(&mut self) {
        for (fleet, id) in self.havoc.due() {
            self.start(&fleet, &id);
        }
    }

    /// Gives up what was put off: it was never there.
    pub(super) fn give_up_late(&mut self) {
        for (fleet, id) in self.havoc.never() {
            self.exited(&fleet, &id, "never started".to_owned(), Moment::now());
        }
    }
}

async fn pause(pid: u32, span: Duration) {
    signal_group(pid, Signal::STOP);
    sleep(span).await;
    signal_group(pid, Signal::CONT);
}

async fn slow(pid: u32, span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until {
        pause(pid, BEAT).await;
        sleep(BEAT).await;
    }
}
