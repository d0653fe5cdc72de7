//! How busy one instance is.
//!
//! A Lua instance reports the time it was busy; of a command, processor time is all there is. An instance that gets no
//! more than so many requests at a time is besides as busy as the share of these places that is taken: it can be full
//! while it waits for others.

use std::{
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

use tidegate_core::roster::Load;

use crate::{
    fleet::Instance,
    instance::protocol::Status,
    usage::{self, Usage},
};

/// Reports that are kept: the newest says how busy the instance was since the oldest, about a second.
const REPORTS: usize = 3;

/// An instance whose last report is older has no utilisation.
const STALE_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Oldest first. Empty for a command.
    reports: VecDeque<(Instant, Status)>,
    /// The report up to which it was told what the instance did.
    told: Status,
    /// When processor time was read last, and what it was.
    cpu: Option<(Instant, Duration)>,
    /// When it was read last.
    read: Option<Instant>,
    /// Shares of its places that were taken, summed up since the last reading, and how many looks that was.
    taken: (f64, u32),
    /// Requests that had ended when it was read last.
    ended: u64,
    last: Figures,
}

/// What is known of an instance since the last reading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    /// Share of time that it was busy, 0 to 1.
    pub(crate) utilization: Option<f64>,
    /// For how long it was busy since it was last told, by its own account or, of a command, by the kernel's; or by that of the
    /// gateway, where that is what limits it.
    pub(crate) busy: Option<Duration>,
    /// What it finished in that time, by the same account. `None` of the kernel's, which does not say.
    pub(crate) finished: Option<u64>,
    /// What it finished in a second.
    pub(crate) served: Option<f64>,
    /// Cores in use.
    pub(crate) cpu: Option<f64>,
    /// Bytes resident.
    pub(crate) memory: Option<u64>,
    /// Bytes in use by its Lua VM.
    pub(crate) lua: Option<u64>,
    /// Coroutines of Lua in flight.
    pub(crate) coroutines: Option<u64>,
    /// Share of time that its Lua VM collected garbage, 0 to 1.
    pub(crate) collecting: Option<f64>,
    /// Bytes that its Lua asked for in a second.
    pub(crate) allocation: Option<f64>,
    /// Share of its capacity that the fullest of its shared dictionaries has in use.
    pub(crate) dicts: Option<f64>,
}

impl Figures {
    /// Of what an instance has, that limits it of which there is less left. A share of its places was `taken` for the time
    /// that `passed`, in which so many requests `ended`: its own account of them is of an earlier time, when there may have been fewer.
    fn with_places(self, taken: Option<f64>, passed: Duration, ended: u64) -> Self {
        match taken {
            Some(taken) if self.utilization.is_none_or(|share| share < taken) => {
                let (busy, finished) = (Some(passed.mul_f64(taken)), Some(ended));
                Self { utilization: Some(taken), busy, finished, ..self }
            }
            _ => self,
        }
    }
}

impl Meter {
    pub(super) fn report(&mut self, status: Status, now: Instant) {
        if self.reports.is_empty() {
            // It began to listen with nothing done.
            self.reports.push_back((now, Status::default()));
        }
        if self.reports.len() == REPORTS {
            self.reports.pop_front();
        }
        self.reports.push_back((now, status));
    }

    /// A look at how many of its places are taken, if their number is limited.
    pub(super) fn look(&mut self, load: &Load) {
        if let Some(limit) = load.limit() {
            let share = f64::from(load.in_flight()) / f64::from(limit.get());
            self.taken = (self.taken.0 + share.min(1.0), self.taken.1 + 1);
        }
    }

    /// What it reported last.
    pub(super) fn latest(&self) -> Option<Status> {
        self.reports.back().map(|&(_, status)| status)
    }

    pub(super) fn read(&mut self, instance: &Instance, now: Instant) -> Figures {
        let usage = instance.pid.and_then(usage::read);
        self.look(&instance.load);
        let figures = self.figures(usage, instance.reports_status, instance.launched, now);
        let since = self.read.replace(now).unwrap_or(instance.launched);
        let before = mem::replace(&mut self.ended, instance.load.served());
        let ended = self.ended.saturating_sub(before);
        self.last = figures.with_places(self.share_taken(), now.saturating_duration_since(since), ended);
        self.last
    }

    /// The share of its places that was taken since the last reading, if their number is limited.
    fn share_taken(&mut self) -> Option<f64> {
        let (taken, looks) = mem::take(&mut self.taken);
        (looks > 0).then(|| taken / f64::from(looks))
    }

    /// What was read last.
    pub(super) const fn last(&self) -> Figures {
        self.last
    }

    fn figures(&mut self, usage: Option<Usage>, reports: bool, launched: Instant, now: Instant) -> Figures {
        let ran = usage.map(|usage| {
            let (since, before) = self.cpu.replace((now, usage.cpu)).unwrap_or((launched, Duration::ZERO));
            (usage.cpu.saturating_sub(before), now.saturating_duration_since(since))
        });
        let cpu = ran.and_then(|(cpu, passed)| share(cpu, passed));
        let (busy, finished) = if reports {
            self.done().map_or((None, None), |(busy, finished)| (Some(busy), Some(finished)))
        } else {
            (ran.map(|(cpu, passed)| cpu.min(passed)), None)
        };
        let utilization = if reports { self.reported(now) } else { cpu.map(|cores| cores.min(1.0)) };
        let served = if reports { self.served(now) } else { None };
        let latest = self.reports.back().map(|(_, status)| status);
        Figures {
            utilization,
            busy,
            finished,
            served,
            cpu,
            memory: usage.map(|usage| usage.memory),
            lua: latest.map(|status| status.lua_bytes),
            coroutines: latest.map(|status| status.lua_coroutines),
            collecting: self.share_of_time(now, |status| status.lua_gc_micros),
            allocation: self.per_second(now, |status| status.lua_allocated),
            dicts: latest.and_then(|status| status.lua_dicts_ppm).map(|share| f64::from(share) / 1e6),
        }
    }

    /// What it did since it was last told, however long ago: each report counts once.
    fn done(&mut self) -> Option<(Duration, u64)> {
        let new = self.latest()?;
        let old = std::mem::replace(&mut self.told, new);
        let busy = Duration::from_micros(new.busy_micros.saturating_sub(old.busy_micros));
        (new.up_micros > old.up_micros).then(|| (busy, new.served.saturating_sub(old.served)))
    }

    /// The oldest and the newest report, unless that is stale.
    fn span(&self, now: Instant) -> Option<(Status, Status)> {
        let (&(_, old), &(at, new)) = (self.reports.front()?, self.reports.back()?);
        (now.saturating_duration_since(at) <= STALE_AFTER).then_some((old, new))
    }

    /// What it finished in a second, by its last reports.
    pub(super) fn served(&self, now: Instant) -> Option<f64> {
        self.per_second(now, |status| status.served)
    }

    /// The share of time that it was busy, by its last reports.
    fn reported(&self, now: Instant) -> Option<f64> {
        self.share_of_time(now, |status| status.busy_micros)
    }

    /// By how much a total grew in a second, by its last reports.
    fn per_second(&self, now: Instant, total: fn(&Status) -> u64) -> Option<f64> {
        let (old, new) = self.span(now)?;
        let up = Duration::from_micros(new.up_micros.saturating_sub(old.up_micros));
        (!up.is_zero()).then(|| total(&new).saturating_sub(total(&old)) as f64 / up.as_secs_f64())
    }

    /// The share of time by which a total of microseconds grew, by its last reports.
    fn share_of_time(&self, now: Instant, micros: fn(&Status) -> u64) -> Option<f64> {
        self.per_second(now, micros).map(|micros| (micros / 1e6).min(1.0))
    }
}

fn share(part: Duration, of: Duration) -> Option<f64> {
    (!of.is_zero()).then(|| part.as_secs_f64() / of.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, sync::Arc};

    use super::*;

    fn status(busy_ms: u64, up_ms: u64) -> Status {
        Status { busy_micros: busy_ms * 1_000, up_micros: up_ms * 1_000, ..Status::default() }
    }

    fn utilization(meter: &mut Meter, start: Instant, now: Instant) -> Option<f64> {
        meter.figures(None, true, start, now).utilization
    }

    #[test]
    fn utilisation_is_that_of_the_last_second_by_the_instances_own_clock() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut meter = Meter::default();
        assert_eq!(utilization(&mut meter, start, at(0)), None);
        meter.report(status(100, 500), at(520));
        assert_eq!(utilization(&mut meter, start, at(520)), Some(0.2));
        meter.report(status(600, 1_000), at(1_900));
        assert_eq!(utilization(&mut meter, start, at(1_900)), Some(0.6));
        meter.report(status(1_100, 1_500), at(1_901));
        assert_eq!(utilization(&mut meter, start, at(1_901)), Some(1.0));
    }

    #[test]
    fn an_instance_is_as_busy_as_its_places_are_taken() {
        let (mut meter, load) = (Meter::default(), Arc::new(Load::default()));
        meter.look(&load);
        assert_eq!(meter.share_taken(), None, "there is no limit");
        load.set_limit(NonZeroU32::new(2));
        let held = load.try_begin();
        meter.look(&load);
        drop(held);
        meter.look(&load);
        assert_eq!(meter.share_taken(), Some(0.25));
        assert_eq!(meter.share_taken(), None, "that was told");
        let second = Duration::from_secs(1);
        let of = |utilization, taken| {
            let figures =
                Figures { utilization, busy: Some(second / 10), finished: Some(3), ..Figures::default() };
            let figures = figures.with_places(taken, second, 8);
            (figures.utilization, figures.busy.unwrap(), figures.finished.unwrap())
        };
        assert_eq!(
            of(Some(0.1), Some(0.5)),
            (Some(0.5), second / 2, 8),
            "it waits for others, and takes no more; what it finished is of the same second"
        );
        assert_eq!(of(Some(0.8), Some(0.5)), (Some(0.8), second / 10, 3));
        assert_eq!(of(None, Some(0.5)), (Some(0.5), second / 2, 8));
        assert_eq!(of(None, None), (None, second / 10, 3));
    }

    #[test]
    fn what_lua_allocates_and_collects_is_told_of_the_last_second() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.report(Status { lua_gc_micros: 20_000, lua_allocated: 3_000, ..status(100, 500) }, start);
        meter.report(Status { lua_gc_micros: 50_000, lua_allocated: 9_000, ..status(200, 1_000) }, start);
        let figures = meter.figures(None, true, start, start);
        assert_eq!((figures.collecting, figures.allocation), (Some(0.05), Some(9_000.0)));
        let late = start + STALE_AFTER + Duration::from_millis(1);
        assert_eq!(meter.figures(None, true, start, late).collecting, None);
    }

    #[test]
    fn an_old_report_says_nothing() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.report(status(100, 500), start);
        assert!(utilization(&mut meter, start, start + STALE_AFTER).is_some());
        assert_eq!(utilization(&mut meter, start, start + STALE_AFTER + Duration::from_millis(1)), None);
    }

    #[test]
    fn a_command_is_as_busy_as_its_processor() {
        let start = Instant::now();
        let mut meter = Meter::default();
        let mut read = |seconds, cpu_ms| {
            let usage = Usage { cpu: Duration::from_millis(cpu_ms), memory: 4_096 };
            meter.figures(Some(usage), false, start, start + Duration::from_secs(seconds))
        };
        assert_eq!(read(2, 1_000).utilization, Some(0.5));
        let figures = read(3, 3_500);
        assert_eq!((figures.cpu, figures.utilization, figures.memory), (Some(2.5), Some(1.0), Some(4_096)));
        assert_eq!(meter.figures(None, false, start, start + Duration::from_secs(4)), Figures::default());
    }
}
