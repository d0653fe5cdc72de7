//! The models: each knows a series up to now and says what it expects some steps ahead.
//!
//! All of them do constant work per value. A missing value leaves level and trend as they are, so a
//! gap is forecast through and not taken for zero.
//!
//! Not here: how wrong they are. That is measured, see [`crate::candidate`].

use serde::{Deserialize, Serialize};

use crate::season::Season;

/// How much a new value moves a level that smooths noise away.
const SMOOTH: f64 = 0.3;
/// How much a new value moves the level, and a new slope the trend, of the trend model.
const TREND_LEVEL: f64 = 0.5;
const TREND_SLOPE: f64 = 0.1;
/// How much of a trend is left after each further step.
const DAMPING: f64 = 0.95;
/// Furthest that a season of another level is stretched.
const LARGEST_STRETCH: f64 = 4.0;

/// Which model a forecast came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// It stays as it is now.
    LastValue,
    /// It stays at the smoothed level.
    Level,
    /// It goes on as it went, and tires (Holt, damped).
    Trend,
    /// As one season ago.
    SeasonalNaive,
    /// As one season ago, stretched to the present level.
    SeasonalScaled,
    /// The present level, moved as much as it moved one season ago.
    SeasonalMoved,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::LastValue,
        Self::Level,
        Self::Trend,
        Self::SeasonalNaive,
        Self::SeasonalScaled,
        Self::SeasonalMoved,
    ];
}

/// What all models remember of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Series {
    last: Option<f64>,
    level: Option<f64>,
    trend_level: f64,
    slope: f64,
    /// Values and levels of the last season.
    values: Season,
    levels: Season,
}

impl Series {
    /// A series that repeats itself after `season` steps, if it does.
    pub(crate) fn new(season: usize) -> Self {
        Self {
            last: None,
            level: None,
            trend_level: 0.0,
            slope: 0.0,
            values: Season::new(season),
            levels: Season::new(season),
        }
    }

    /// The next value of the series; `None` if it is not known.
    pub(crate) fn observe(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.follow(value);
        }
        // A gap is remembered as what was there one season ago, or else as the last that was seen.
        let seasonal = self.values.ago(1);
        let seasonal_level = self.levels.ago(1);
        self.values.push(value.or(seasonal).or(self.last));
        self.levels.push(value.and(self.level).or(seasonal_level).or(self.level));
    }

    fn follow(&mut self, value: f64) {
        let level = self.level.map_or(value, |level| level + SMOOTH * (value - level));
        if self.last.is_none() {
            self.trend_level = value;
        } else {
            let expected = self.trend_level + DAMPING * self.slope;
            let trend_level = expected + TREND_LEVEL * (value - expected);
            let slope = trend_level - self.trend_level;
            self.slope = DAMPING * self.slope + TREND_SLOPE * (slope - DAMPING * self.slope);
            self.trend_level = trend_level;
        }
        self.level = Some(level);
        self.last = Some(value);
    }

    /// What `kind` expects `steps` ahead; `None` before it has seen enough. Never below zero.
    pub(crate) fn ahead(&self, kind: Kind, steps: usize) -> Option<f64> {
        let expected = match kind {
            Kind::LastValue => self.last,
            Kind::Level => self.level,
            Kind::Trend => self.last.map(|_| self.trend_level + self.slope * damped_steps(steps)),
            Kind::SeasonalNaive => self.values.ago(steps),
            Kind::SeasonalScaled => self.scaled(steps),
            Kind::SeasonalMoved => self.moved(steps),
        };
        expected.map(|value| value.max(0.0))
    }

    fn scaled(&self, steps: usize) -> Option<f64> {
        let (value, then, now) = (self.values.ago(steps)?, self.levels.ago(0)?, self.level?);
        let stretch = if then > 0.0 { now / then } else { 1.0 };
        Some(value * stretch.clamp(1.0 / LARGEST_STRETCH, LARGEST_STRETCH))
    }

    fn moved(&self, steps: usize) -> Option<f64> {
        let (ahead, then, now) = (self.levels.ago(steps)?, self.levels.ago(0)?, self.level?);
        Some(now + ahead - then)
    }
}

/// The sum of what is left of a trend in each of the next `steps` steps.
fn damped_steps(steps: usize) -> f64 {
    let left = DAMPING.powi(i32::try_from(steps).unwrap_or(i32::MAX));
    DAMPING * (1.0 - left) / (1.0 - DAMPING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(season: usize, values: impl IntoIterator<Item = f64>) -> Series {
        let mut series = Series::new(season);
        for value in values {
            series.observe(Some(value));
        }
        series
    }

    fn close(value: Option<f64>, expected: f64) {
        let value = value.unwrap();
        assert!((value - expected).abs() < 1e-6 * expected.abs().max(1.0), "{value}, not {expected}");
    }

    /// A day of ten steps, `days` times, on `day`'s own level.
    fn days(days: usize, level: impl Fn(usize) -> f64) -> impl Iterator<Item = f64> {
        (0..days * 10).map(move |step| level(step / 10) * (1.0 + (step % 10) as f64))
    }

    #[test]
    fn nothing_seen_nothing_said() {
        assert!(Kind::ALL.iter().all(|&kind| Series::new(10).ahead(kind, 1).is_none()));
    }

    #[test]
    fn a_constant_is_expected_to_stay() {
        let series = series(10, [7.0; 40]);
        for kind in Kind::ALL {
            close(series.ahead(kind, 3), 7.0);
        }
    }

    #[test]
    fn a_trend_goes_on_and_tires() {
        let series = series(10, (0..400).map(f64::from));
        let ahead = |steps| series.ahead(Kind::Trend, steps).unwrap();
        assert!((ahead(1) - ahead(2)).abs() < 1.0 && ahead(2) > ahead(1) && ahead(1) > 395.0);
        assert!(ahead(10_000) - ahead(1_000) < 1e-6);
    }

    #[test]
    fn a_season_repeats() {
        let series = series(10, days(3, |_| 5.0));
        close(series.ahead(Kind::SeasonalNaive, 1), 5.0);
        close(series.ahead(Kind::SeasonalNaive, 7), 35.0);
        close(series.ahead(Kind::SeasonalNaive, 17), 35.0);
        let scaled = series.ahead(Kind::SeasonalScaled, 7).unwrap();
        assert!((scaled - 35.0).abs() < 0.1, "{scaled}");
    }

    #[test]
    fn a_busier_day_stretches_the_season() {
        let series = series(10, days(4, |day| if day == 3 { 10.0 } else { 5.0 }));
        close(series.ahead(Kind::SeasonalNaive, 10), 100.0);
        let scaled = series.ahead(Kind::SeasonalScaled, 1).unwrap();
        assert!(scaled > 10.0 && scaled < 40.0, "{scaled}");
    }

    #[test]
    fn a_gap_is_not_zero() {
        let mut series = series(10, days(3, |_| 5.0));
        for _ in 0..10 {
            series.observe(None);
        }
        close(series.ahead(Kind::LastValue, 1), 50.0);
        close(series.ahead(Kind::SeasonalNaive, 7), 35.0);
    }

    #[test]
    fn demand_is_never_negative() {
        let series = series(10, (0..40).map(|step| f64::from(400 - 10 * step)));
        assert!(Kind::ALL.iter().all(|&kind| series.ahead(kind, 500).unwrap() >= 0.0));
    }
}
