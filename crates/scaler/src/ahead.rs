//! The `forecast` trigger: capacity that is ready when demand comes.
//!
//! Arrivals are summed into grains of half a minute or more, and a [`Forecaster`] says what it expects
//! when an instance that is ordered now would be ready. What counts is a high quantile, not the mean:
//! it follows from the objective. Grains are of lived time, so a clock that is set moves nothing; it is named.
//!
//! The horizon follows the measured start-up time, further at once and nearer only where it is far too
//! far, so that a start-up time which wavers does not cost what was learned. What demand was so far is
//! kept in any case; how wrong forecasts are has to be learned for each horizon.
//!
//! Invariant: it only ever adds. While the forecaster does not know how wrong it is, or has not earned
//! trust, it has nothing to ask for, and nobody is held back by it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::{Flaw, Timestamp, policy::Forecast};
use tidegate_forecast::{Forecaster, Settings, Trust};

mod notes;

use crate::{
    clock::SteadyClock,
    opinion::{Opinion, Wanted},
    scaler::Outlook,
    sight::Sight,
    target::{ceil, needs},
    words::{Words, number, percent, span},
};

/// Horizons that are told apart: the start-up time is rounded up to one of them.
const HORIZONS: [u64; 8] = [30, 60, 120, 300, 600, 1_200, 1_800, 3_600];
/// A horizon is kept until one this many times nearer would do.
const FAR_TOO_FAR: u32 = 4;
/// Grains, each for horizons up to as many seconds as stand beside it.
const GRAINS: [(u64, u64); 2] = [(30, 120), (60, 600)];
const COARSEST: Duration = Duration::from_mins(5);
/// The shortest grain, and the longest grain and furthest horizon, of what is read back.
const SHORTEST: Duration = Duration::from_secs(1);
const FURTHEST: Duration = Duration::from_hours(24 * 366);
/// How long instances are taken to start while that is not known.
const UNKNOWN_START_UP: Duration = Duration::from_secs(30);
/// Rates from here on are not believed: they would spoil the sum.
const LARGEST: f64 = 1e12;
/// Most grains in a period.
const LONGEST: usize = 20_160;
const MEDIAN: f64 = 0.5;
/// A level that honesty can be measured at, beside a quantile that almost nothing lies beyond.
const HONEST: f64 = 0.9;
/// How far the wall clock may go astray between two steps, beside lived time, before it was set.
const ASTRAY: Duration = Duration::from_secs(5);

/// What is known of demand so far, at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ahead {
    horizon: Duration,
    grain: Duration,
    forecaster: Forecaster,
    /// Of the grain that is not full: lived time that has passed in it, requests, and seconds that were seen.
    passed: Duration,
    requests: f64,
    seen: f64,
    last: Option<Duration>,
    /// The wall clock of the last step, and how often it was set.
    wall: Option<Timestamp>,
    jumps: u32,
}

pub(crate) fn name(forecast: &Forecast) -> String {
    let quantile = percent(forecast.quantile);
    match forecast.horizon {
        Some(horizon) => format!("forecast {quantile} in {}", span(horizon)),
        None => format!("forecast {quantile}"),
    }
}

/// How far ahead `forecast` looks where instances take so long to start, and it looked as far as `present`.
fn horizon(forecast: &Forecast, start_up: Option<Duration>, present: Option<Duration>) -> Duration {
    if let Some(horizon) = forecast.horizon {
        return horizon.max(Duration::from_secs(1));
    }
    // Nothing has started since a restart, and nothing else is known: as before.
    let Some(ahead) = start_up.or(present) else { return UNKNOWN_START_UP };
    let rounded = HORIZONS.into_iter().map(Duration::from_secs).find(|&horizon| horizon >= ahead);
    let rounded = rounded.unwrap_or(ahead);
    present.filter(|&present| present >= rounded && rounded * FAR_TOO_FAR > present).unwrap_or(rounded)
}

/// What to forecast, and the length of its steps.
fn settings(forecast: &Forecast, horizon: Duration) -> (Settings, Duration) {
    let fine = GRAINS.into_iter().find(|&(_, furthest)| horizon <= Duration::from_secs(furthest));
    let grain = fine.map_or(COARSEST, |(grain, _)| Duration::from_secs(grain));
    let grain = forecast.period.map_or(grain, |period| grain.max(period / LONGEST as u32));
    let steps = |span: Duration| (span.as_secs_f64() / grain.as_secs_f64()).ceil().max(1.0) as usize;
    let seasons = forecast.period.map_or_else(|| Settings::seasons_of(grain), |period| vec![steps(period)]);
    let mut levels = vec![MEDIAN, HONEST, forecast.quantile];
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    (Settings { horizon: steps(horizon), seasons, levels }, grain)
}

impl Ahead {
    fn new(forecast: &Forecast, horizon: Duration) -> Self {
        let (settings, grain) = settings(forecast, horizon);
        Self {
            horizon,
            grain,
            forecaster: Forecaster::new(settings),
            passed: Duration::ZERO,
            requests: 0.0,
            seen: 0.0,
            last: None,
            wall: None,
            jumps: 0,
        }
    }

    pub(crate) fn check(&self, clock: &SteadyClock) -> Result<(), Flaw> {
        let grain = self.grain;
        Flaw::unless(grain >= SHORTEST, "grain", || format!("{grain:?} is shorter than {SHORTEST:?}"))?;
        Flaw::unless_within("grain", grain, FURTHEST)?;
        Flaw::unless_within("horizon", self.horizon, FURTHEST)?;
        Flaw::unless_short("passed", self.passed)?;
        self.last.map_or(Ok(()), |last| clock.check_past("last", last))?;
        self.forecaster.check().map_err(Flaw::of("forecaster"))
    }

    /// The same demand at another horizon.
    fn at(&self, forecast: &Forecast, horizon: Duration) -> Self {
        let (settings, grain) = settings(forecast, horizon);
        Self { horizon, grain, forecaster: self.forecaster.at(settings), ..self.clone() }
    }

    /// What `memory` says of the newest demand, at the horizon that matters now.
    pub(crate) fn opinion(
        memory: &mut Option<Box<Self>>,
        forecast: &Forecast,
        sight: &Sight<'_>,
        words: Words,
    ) -> Opinion {
        let horizon = horizon(forecast, sight.start_up, memory.as_ref().map(|ahead| ahead.horizon));
        let ahead = memory.get_or_insert_with(|| Box::new(Self::new(forecast, horizon)));
        if ahead.horizon != horizon {
            **ahead = ahead.at(forecast, horizon);
        }
        ahead.watch(sight);
        ahead.observe(sight.now, sight.metrics.arrival_rate);
        ahead.expect(forecast, sight, words)
    }

    /// Notes where the wall clock went another way than lived time.
    fn watch(&mut self, sight: &Sight<'_>) {
        let Some((last, wall)) = self.last.zip(self.wall.replace(sight.at)) else { return };
        // One of the two is zero.
        let (ahead, back) = (sight.at.since(wall), wall.since(sight.at));
        if ahead.abs_diff(sight.now.saturating_sub(last)) > ASTRAY || back > ASTRAY {
            self.jumps = self.jumps.saturating_add(1);
        }
    }

    /// Nothing was seen for `span`, and no time was lived: seasons go on all the same.
    pub(crate) fn absent(&mut self, span: Duration) {
        self.wall = None;
        self.passed = self.passed.saturating_add(span);
        self.fill();
    }

    pub(crate) fn outlook(&self) -> Outlook {
        Outlook { horizon_seconds: self.horizon.as_secs_f64(), trust: self.forecaster.trust() }
    }

    fn observe(&mut self, now: Duration, rate: Option<f64>) {
        let passed = now.saturating_sub(self.last.replace(now).unwrap_or(now));
        self.passed = self.passed.saturating_add(passed);
        if let Some(rate) = rate.filter(|rate| *rate < LARGEST) {
            self.requests += rate * passed.as_secs_f64();
            self.seen += passed.as_secs_f64();
        }
        self.fill();
    }

    /// Tells the forecaster of every grain that is full.
    fn fill(&mut self) {
        // Of a very long absence whole weeks may be left out: the seasons are in the same place after it.
        let longest = self.grain * LONGEST as u32;
        if self.passed > longest {
            let left = self.passed.as_nanos() % longest.as_nanos().max(1);
            self.passed = Duration::from_nanos(u64::try_from(left).unwrap_or_default());
        }
        while self.passed >= self.grain {
            // What is over the grain belongs to the next one, or a day would drift against the clock.
            self.passed -= self.grain;
            // Half a grain unseen is a gap.
            let known = self.seen * 2.0 >= self.grain.as_secs_f64();
            self.forecaster.observe(known.then(|| self.requests / self.seen));
            (self.requests, self.seen) = (0.0, 0.0);
        }
    }

    fn expect(&self, forecast: &Forecast, sight: &Sight<'_>, words: Words) -> Opinion {
        let nothing =
            |because: &dyn Fn() -> String| Opinion { wanted: Wanted::Nothing, because: words.say(because) };
        let expected = match (self.forecaster.trust(), self.forecaster.forecast()) {
            (Trust::Earned(_), Some(expected)) => expected,
            (Trust::Lost(standing), _) => {
                return nothing(&|| notes::with(notes::lost(standing), &self.notes()));
            }
            (Trust::NoHistory { judged, needed }, _) => {
                return nothing(&|| notes::with(notes::new(judged, needed), &self.notes()));
            }
            (Trust::Earned(_), None) => return nothing(&|| "no model has anything to say".to_owned()),
        };
        let Some(work) = sight.work else {
            return nothing(&|| "the work per request is not known yet".to_owned());
        };
        let (median, high) = (self.value(&expected, MEDIAN), self.value(&expected, forecast.quantile));
        let needed = high * work / sight.safe;
        Opinion {
            wanted: Wanted::Count(ceil(needed).max(1)),
            because: words.say(|| {
                let because = format!(
                    "in {} about {} requests/s arrive and with {} certainty at most {}, of {}ms work: {}; going by {}",
                    span(self.horizon),
                    number(median),
                    percent(forecast.quantile),
                    number(high),
                    number(work * 1e3),
                    needs(needed),
                    expected.model.name()
                );
                notes::with(because, &self.notes())
            }),
        }
    }

    /// What was said for `level`.
    fn value(&self, expected: &tidegate_forecast::Forecast, level: f64) -> f64 {
        let levels = &self.forecaster.settings().levels;
        let index = levels.iter().position(|&one| one.total_cmp(&level).is_ge());
        index.and_then(|index| expected.quantiles.get(index)).copied().unwrap_or_default()
    }

    fn notes(&self) -> Vec<String> {
        notes::of(&self.forecaster, self.grain, self.jumps)
    }
}

#[cfg(test)]
mod tests;
