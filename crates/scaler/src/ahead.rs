//! The `forecast` trigger: capacity that is ready when demand comes.
//!
//! Arrivals are summed into grains of half a minute or more, and a [`Forecaster`] says what it expects
//! when an instance that is ordered now would be ready. What counts is a high quantile, not the mean:
//! it follows from the objective.
//!
//! Invariant: it only ever adds. While the forecaster does not know how wrong it is, or has not earned
//! trust, it has nothing to ask for, and nobody is held back by it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::policy::Forecast;
use tidegate_forecast::{Forecaster, Settings, Trust};

use crate::{
    opinion::{Opinion, Wanted},
    scaler::Outlook,
    sight::Sight,
    target::{ceil, needs},
    words::{Words, number, percent, span},
};

/// Horizons that are told apart: the start-up time is rounded up to one of them.
const HORIZONS: [u64; 8] = [30, 60, 120, 300, 600, 1_200, 1_800, 3_600];
/// Shortest and longest grain, and how many make a horizon in between.
const FINEST: Duration = Duration::from_secs(30);
const COARSEST: Duration = Duration::from_mins(5);
const GRAINS: u32 = 3;
/// How long instances are taken to start while that is not known.
const UNKNOWN_START_UP: Duration = Duration::from_secs(30);
/// After how long demand may repeat itself, unless said otherwise.
const DAY: Duration = Duration::from_hours(24);
/// Rates from here on are not believed: they would spoil the sum.
const LARGEST: f64 = 1e12;
/// Most grains in a period.
const LONGEST: usize = 10_080;

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
}

pub(crate) fn name(forecast: &Forecast) -> String {
    let quantile = percent(forecast.quantile);
    match forecast.horizon {
        Some(horizon) => format!("forecast {quantile} in {}", span(horizon)),
        None => format!("forecast {quantile}"),
    }
}

/// How far ahead `forecast` looks where instances take so long to start.
fn horizon(forecast: &Forecast, start_up: Option<Duration>) -> Duration {
    let ahead = forecast.horizon.or(start_up).unwrap_or(UNKNOWN_START_UP);
    let rounded = HORIZONS.into_iter().map(Duration::from_secs).find(|&horizon| horizon >= ahead);
    forecast.horizon.or(rounded).unwrap_or(ahead).max(Duration::from_secs(1))
}

impl Ahead {
    fn new(forecast: &Forecast, horizon: Duration) -> Self {
        let period = forecast.period.unwrap_or(DAY);
        let least = period / LONGEST as u32;
        let grain = (horizon / GRAINS).clamp(FINEST, COARSEST).max(least);
        let steps = |span: Duration| (span.as_secs_f64() / grain.as_secs_f64()).ceil() as usize;
        let settings = Settings {
            horizon: steps(horizon).max(1),
            seasons: vec![steps(period)],
            levels: vec![0.5, forecast.quantile],
        };
        Self {
            horizon,
            grain,
            forecaster: Forecaster::new(settings),
            passed: Duration::ZERO,
            requests: 0.0,
            seen: 0.0,
            last: None,
        }
    }

    /// `memory` where it is of the horizon that is asked for, or else a fresh one; with the newest demand.
    pub(crate) fn opinion(
        memory: &mut Option<Box<Self>>,
        forecast: &Forecast,
        sight: &Sight<'_>,
        words: Words,
    ) -> Opinion {
        let horizon = horizon(forecast, sight.start_up);
        let ahead = match memory {
            Some(ahead) if ahead.horizon == horizon => ahead,
            _ => memory.insert(Box::new(Self::new(forecast, horizon))),
        };
        ahead.observe(sight.now, sight.metrics.arrival_rate);
        ahead.expect(sight, words)
    }

    /// Nothing was seen for `span`, and no time was lived: seasons go on all the same.
    pub(crate) fn absent(&mut self, span: Duration) {
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
        // Longer than the memory of the longest season nothing is told apart.
        self.passed = self.passed.min(self.grain * LONGEST as u32);
        while self.passed >= self.grain {
            // What is over the grain belongs to the next one, or a day would drift against the clock.
            self.passed -= self.grain;
            // Half a grain unseen is a gap.
            let known = self.seen * 2.0 >= self.grain.as_secs_f64();
            self.forecaster.observe(known.then(|| self.requests / self.seen));
            (self.requests, self.seen) = (0.0, 0.0);
        }
    }

    fn expect(&self, sight: &Sight<'_>, words: Words) -> Opinion {
        let nothing =
            |because: &str| Opinion { wanted: Wanted::Nothing, because: words.say(|| because.to_owned()) };
        let expected = match (self.forecaster.trust(), self.forecaster.forecast()) {
            (Trust::Earned(_), Some(expected)) => expected,
            (Trust::Lost(_), _) => {
                return nothing("forecasts were no better than the last value, or too sure, of late");
            }
            _ => return nothing("too little has been seen yet to know how wrong a forecast is"),
        };
        let Some(work) = sight.work else {
            return nothing("the work per request is not known yet");
        };
        let (median, high) = (expected.quantiles[0], expected.quantiles[1]);
        let needed = high * work / sight.safe;
        Opinion {
            wanted: Wanted::Count(ceil(needed).max(1)),
            because: words.say(|| {
                format!(
                    "in {} about {} requests/s arrive and with {} certainty at most {}, of {}ms work: {}",
                    span(self.horizon),
                    number(median),
                    percent(self.level()),
                    number(high),
                    number(work * 1e3),
                    needs(needed)
                )
            }),
        }
    }

    fn level(&self) -> f64 {
        self.forecaster.settings().levels[1]
    }
}
