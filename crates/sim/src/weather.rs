//! The weather: what happens to a simulated fleet besides demand, second by second.
//!
//! Events that last become two changes, one for each end. Of two that last and overlap, the end of the first
//! ends both.

use std::collections::VecDeque;

use tidegate_core::{
    policy::Amount,
    scenario::{Event, Happening},
};

/// Something that is different from a second on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Capacity(f64),
    Deploy(f64),
    StartUp(u32),
    Failing(f64),
    Lost(bool),
    Kill(Amount),
    Clock(i64),
    Reclaim { pools: u64, notice: u32 },
}

/// What is to come, and what has come to pass.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// The earliest first.
    ahead: VecDeque<(usize, Change)>,
    pub(crate) capacity: f64,
    /// Counts deployments.
    pub(crate) generation: u64,
    /// No metric can be read.
    pub(crate) lost: bool,
    /// Seconds that the wall clock is ahead.
    pub(crate) clock: i64,
}

/// What the fleet has to be told in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Gust {
    pub(crate) start_up: Option<u32>,
    pub(crate) failing: Option<f64>,
    pub(crate) kill: Option<Amount>,
    /// A bit for each pool that takes its instances back, and in how many seconds.
    pub(crate) reclaim: u64,
    pub(crate) notice: u32,
}

impl Gust {
    pub(crate) fn reclaims(self, pool: usize) -> bool {
        self.reclaim.checked_shr(pool as u32).is_some_and(|bits| bits & 1 == 1)
    }
}

impl Weather {
    /// Instances that serve `capacity` and `events` in a world where they start in `start_up` seconds.
    pub(crate) fn new(capacity: f64, start_up: u32, events: &[Event]) -> Self {
        let mut ahead: Vec<(usize, Change)> = Vec::new();
        for event in events {
            let at = event.at.as_secs() as usize;
            let mut lasting = |from, to, lasts: Option<std::time::Duration>| {
                ahead.push((at, from));
                ahead.extend(lasts.map(|lasts| (at + lasts.as_secs() as usize, to)));
            };
            match event.what {
                Happening::Capacity(rate) => ahead.push((at, Change::Capacity(rate))),
                Happening::Deploy(rate) => ahead.push((at, Change::Deploy(rate))),
                Happening::StartUp { takes, lasts } => {
                    lasting(Change::StartUp(takes.as_secs() as u32), Change::StartUp(start_up), lasts);
                }
                Happening::FailStarts { share, lasts } => {
                    lasting(Change::Failing(share), Change::Failing(0.0), lasts);
                }
                Happening::LoseMetrics { lasts } => {
                    lasting(Change::Lost(true), Change::Lost(false), Some(lasts));
                }
                Happening::Kill(amount) => ahead.push((at, Change::Kill(amount))),
                Happening::Clock(by) => ahead.push((at, Change::Clock(by))),
                Happening::Reclaim { pool, notice } => {
                    let pools =
                        pool.map_or(u64::MAX, |pool| 1_u64.checked_shl(pool as u32).unwrap_or_default());
                    ahead.push((at, Change::Reclaim { pools, notice: notice.as_secs() as u32 }));
                }
            }
        }
        ahead.sort_by_key(|&(at, _)| at);
        Self { ahead: ahead.into(), capacity, generation: 0, lost: false, clock: 0 }
    }

    /// Whether nothing is to come any more, up to and in `second`.
    pub(crate) fn is_calm(&self, second: usize) -> bool {
        self.ahead.front().is_none_or(|&(at, _)| at > second)
    }

    /// Lets pass what happens in `second`.
    pub(crate) fn turn(&mut self, second: usize) -> Gust {
        let mut gust = Gust::default();
        while let Some(&(at, change)) = self.ahead.front()
            && at <= second
        {
            self.ahead.pop_front();
            match change {
                Change::Capacity(rate) => self.capacity = rate,
                Change::Deploy(rate) => (self.capacity, self.generation) = (rate, self.generation + 1),
                Change::StartUp(seconds) => gust.start_up = Some(seconds),
                Change::Failing(share) => gust.failing = Some(share),
                Change::Lost(lost) => self.lost = lost,
                Change::Kill(amount) => gust.kill = Some(amount),
                Change::Reclaim { pools, notice } => {
                    (gust.reclaim, gust.notice) = (gust.reclaim | pools, notice);
                }
                Change::Clock(by) => self.clock += by,
            }
        }
        gust
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_lasts_ends() {
        let lasts = Some(Duration::from_secs(10));
        let events = [
            Event {
                at: Duration::from_secs(5),
                what: Happening::StartUp { takes: Duration::from_mins(1), lasts },
            },
            Event {
                at: Duration::from_secs(5),
                what: Happening::LoseMetrics { lasts: Duration::from_secs(1) },
            },
            Event { at: Duration::from_secs(7), what: Happening::Deploy(70.0) },
            Event { at: Duration::from_secs(8), what: Happening::Clock(-3_600) },
        ];
        let mut weather = Weather::new(100.0, 30, &events);
        assert!(weather.is_calm(4));
        assert_eq!((weather.turn(5).start_up, weather.lost), (Some(60), true));
        assert_eq!((weather.turn(6), weather.lost), (Gust::default(), false));
        assert_eq!(weather.turn(14), Gust::default());
        assert_eq!((weather.capacity, weather.generation, weather.clock), (70.0, 1, -3_600));
        assert_eq!(weather.turn(15).start_up, Some(30));
        assert!(weather.is_calm(usize::MAX));
    }
}
