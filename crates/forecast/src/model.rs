//! The models: each knows a series up to now and says what it expects some steps ahead.
//!
//! All of them do constant work per value. A missing value leaves level and trend as they are, so a
//! gap is forecast through and not taken for zero. A value far beyond everything expected moves the
//! level at once, as it may be the beginning of something, but enters the memory of the seasons only
//! in part: a freak of one day is not expected on the next, and what comes daily is believed after some.
//!
//! Not here: how wrong they are. That is measured, see [`crate::candidate`].

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::{
    cycle::{Cycle, Season},
    harmonic::Harmonic,
    profile::Profile,
    season::Past,
};

/// How much a new value moves a level that smooths noise away.
const SMOOTH: f64 = 0.3;
/// How much a new value moves the level, and a new slope the trend, of the trend model.
const TREND_LEVEL: f64 = 0.5;
const TREND_SLOPE: f64 = 0.1;
/// How much of a trend is left after each further step.
const DAMPING: f64 = 0.95;
/// Furthest that a season of another level is stretched.
const LARGEST_STRETCH: f64 = 4.0;
/// Bins of the usual course of a season: five minutes each of a day, ten of a week.
const USUAL_BINS: usize = 288;
const LONGEST_BINS: usize = 1_008;
/// How much one value moves the usual change from a value to the next.
const CHANGE_MEMORY: f64 = 0.01;
/// A value above twice of all that is expected and this many usual changes is an outlier.
const OUTLIER: f64 = 20.0;
/// Values that must have been seen before one can be an outlier.
const FEWEST: u64 = 50;

/// More steps than this nobody has counted: it would take centuries of microseconds.
const MOST_STEPS: u64 = 1 << 53;

/// Whether `count` can be one of steps that were seen.
pub(crate) fn unless_counted(field: &str, count: u64) -> Result<(), Flaw> {
    Flaw::unless(count <= MOST_STEPS, field, || format!("{count} is more than anybody has counted"))
}

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
    /// As this time of the longest season usually is (Holt-Winters), and what is left of the deviation from that.
    LongSeasonUsual,
    /// As this time of the season usually is (Holt-Winters), and what is left of the deviation from that.
    SeasonUsual,
    /// Waves as long as the seasons and their parts (Fourier), and what is left of the deviation from them.
    Waves,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::LastValue,
        Self::Level,
        Self::Trend,
        Self::SeasonalNaive,
        Self::SeasonalScaled,
        Self::SeasonalMoved,
        Self::LongSeasonUsual,
        Self::SeasonUsual,
        Self::Waves,
    ];

    /// In words: `as one season ago`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LastValue => "last value",
            Self::Level => "level",
            Self::Trend => "trend",
            Self::SeasonalNaive => "a season ago",
            Self::SeasonalScaled => "a season ago, stretched",
            Self::SeasonalMoved => "moves of a season ago",
            Self::LongSeasonUsual => "the usual longest season",
            Self::SeasonUsual => "the usual season",
            Self::Waves => "waves",
        }
    }
}

/// What a model says of a moment to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expected {
    pub(crate) base: f64,
    /// How far the present is from what the model says of it, as it is and smoothed; `None`: the base is all.
    pub(crate) deviations: Option<[f64; 2]>,
}

/// What was wrong with a series so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Steps seen, the missing ones included.
    pub steps: u64,
    /// Steps without a value.
    pub missing: u64,
    /// Rows of missing steps.
    pub gaps: u64,
    /// Missing steps of the longest of them.
    pub longest_gap: u64,
    /// Values that entered the memory of the seasons only in part.
    pub outliers: u64,
    /// Missing steps up to now.
    gap: u64,
}

impl History {
    fn note(&mut self, missing: bool) {
        self.steps += 1;
        if !missing {
            self.gap = 0;
            return;
        }
        self.missing += 1;
        self.gaps += u64::from(self.gap == 0);
        self.gap += 1;
        self.longest_gap = self.longest_gap.max(self.gap);
    }

    fn check(&self) -> Result<(), Flaw> {
        unless_counted("steps", self.steps)?;
        unless_counted("outliers", self.outliers)?;
        let Self { steps, missing, gaps, longest_gap, gap, .. } = *self;
        Flaw::unless(missing <= steps, "missing", || format!("{missing} of {steps} steps"))?;
        Flaw::unless(gaps <= missing, "gaps", || format!("{gaps} of {missing} missing steps"))?;
        let longest = longest_gap.max(gap);
        Flaw::unless(longest <= missing, "longestGap", || format!("{longest} of {missing} missing steps"))
    }

    /// Steps with a value.
    pub const fn known(&self) -> u64 {
        self.steps - self.missing
    }
}

/// What all models remember of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Series {
    /// In steps, shortest first.
    seasons: Vec<usize>,
    last: Option<f64>,
    level: Option<f64>,
    trend_level: f64,
    slope: f64,
    /// Mean absolute change from a value to the next of late.
    change: f64,
    past: Past,
    harmonic: Harmonic,
    /// The usual course of a day and of a week, where these are the seasons.
    usual: Profile,
    longest: Profile,
    /// One for each season.
    cycles: Vec<Cycle>,
    history: History,
}

impl Series {
    /// A series that may repeat itself after each of `seasons` steps.
    pub(crate) fn new(seasons: &[usize]) -> Self {
        let mut seasons: Vec<usize> = seasons.iter().copied().filter(|&season| season > 0).collect();
        seasons.sort_unstable();
        seasons.dedup();
        Self {
            last: None,
            level: None,
            trend_level: 0.0,
            slope: 0.0,
            change: 0.0,
            past: Past::new(usual_of(&seasons), seasons.last().copied().unwrap_or_default()),
            // The shape of a day is made of waves; what comes more often than that is one of them, or noise.
            harmonic: Harmonic::new(&seasons[seasons.len().saturating_sub(2)..]),
            usual: Profile::new(usual_of(&seasons), USUAL_BINS),
            longest: Profile::new(
                if seasons.len() > 1 { seasons[seasons.len() - 1] } else { 0 },
                LONGEST_BINS,
            ),
            cycles: seasons.iter().copied().map(Cycle::new).collect(),
            history: History::default(),
            seasons,
        }
    }

    /// The same series in steps of another length: what it was is kept, and how it moves is learned anew.
    pub(crate) fn in_steps(&self, seasons: &[usize]) -> Self {
        let fresh = Self::new(seasons);
        if fresh.seasons == self.seasons {
            return self.clone();
        }
        let longest = fresh.seasons.last().copied().unwrap_or_default();
        let past = self.past.in_steps(usual_of(&fresh.seasons), longest);
        let trend_level = self.last.unwrap_or_default();
        let (usual, longest) =
            (self.usual.in_steps(fresh.usual.clone()), self.longest.in_steps(fresh.longest.clone()));
        let (last, level, history) = (self.last, self.level, self.history);
        Self { last, level, trend_level, past, usual, longest, history, ..fresh }
    }

    /// Whether it is one of `seasons`.
    pub(crate) fn check(&self, seasons: &[usize]) -> Result<(), Flaw> {
        let fresh = Self::new(seasons);
        let (found, expected) = (&self.seasons, &fresh.seasons);
        Flaw::unless(found == expected, "seasons", || format!("{found:?}, not {expected:?}"))?;
        self.past.check(&fresh.past).map_err(Flaw::of("past"))?;
        self.harmonic.check(&fresh.harmonic).map_err(Flaw::of("harmonic"))?;
        self.usual.check(&fresh.usual).map_err(Flaw::of("usual"))?;
        self.longest.check(&fresh.longest).map_err(Flaw::of("longest"))?;
        let cycles = self.cycles.len();
        Flaw::unless(cycles == expected.len(), "cycles", || format!("{cycles} for {expected:?}"))?;
        let mut cycles = self.cycles.iter().zip(expected);
        cycles.try_for_each(|(cycle, &length)| cycle.check(length)).map_err(Flaw::of("cycles"))?;
        self.history.check().map_err(Flaw::of("history"))
    }

    pub(crate) fn history(&self) -> History {
        self.history
    }

    /// The next value of the series; `None` if it is not known.
    pub(crate) fn observe(&mut self, value: Option<f64>) {
        self.history.note(value.is_none());
        // A gap is remembered as what was there one season ago, or else as the last that was seen.
        let seasonal = self.season().and_then(|season| self.past.ago(season, 1));
        let ordinary = value.map(|value| self.ordinary(value, seasonal));
        if let Some(ordinary) = ordinary {
            self.cycles.iter_mut().for_each(|cycle| cycle.observe(ordinary, &self.past));
        }
        if let Some(value) = value {
            self.follow(value);
        }
        self.usual.observe(ordinary);
        self.longest.observe(ordinary);
        self.harmonic.observe(ordinary);
        self.past.push(ordinary.or(seasonal).or(self.last));
    }

    /// What was looked for, shortest first.
    pub(crate) fn seasons(&self) -> impl Iterator<Item = Season> {
        self.cycles.iter().map(Cycle::season)
    }

    /// The season that most models speak of: of all but the longest the one that is most there, or else the
    /// longest of them.
    fn season(&self) -> Option<usize> {
        let shorter = self.cycles.len().saturating_sub(1).max(1);
        let shorter = &self.cycles[..shorter.min(self.cycles.len())];
        let found = shorter.iter().map(Cycle::season).filter(|season| season.found);
        let most = found.max_by(|one, other| one.correlation.total_cmp(&other.correlation));
        most.map(|season| season.steps).or_else(|| self.seasons.get(shorter.len().checked_sub(1)?).copied())
    }

    /// The part of a value that is worth remembering until the next season.
    fn ordinary(&mut self, value: f64, seasonal: Option<f64>) -> f64 {
        let expected = seasonal.unwrap_or_default().max(self.level.unwrap_or(value));
        let most = 2.0 * expected + OUTLIER * self.change;
        if self.history.known() <= FEWEST || value <= most {
            return value;
        }
        self.history.outliers += 1;
        most
    }

    fn follow(&mut self, value: f64) {
        let level = self.level.map_or(value, |level| level + SMOOTH * (value - level));
        if let Some(last) = self.last {
            let memory = CHANGE_MEMORY.max(1.0 / self.history.known().max(1) as f64);
            self.change += memory * ((value - last).abs() - self.change);
            let expected = self.trend_level + DAMPING * self.slope;
            let trend_level = expected + TREND_LEVEL * (value - expected);
            let slope = trend_level - self.trend_level;
            self.slope = DAMPING * self.slope + TREND_SLOPE * (slope - DAMPING * self.slope);
            self.trend_level = trend_level;
        } else {
            self.trend_level = value;
        }
        self.level = Some(level);
        self.last = Some(value);
    }

    /// What `kind` says of the moment `steps` ahead; `None` before it has seen enough.
    pub(crate) fn ahead(&self, kind: Kind, steps: usize) -> Option<Expected> {
        let season = self.season();
        let base = match kind {
            Kind::LastValue => self.last,
            Kind::Level => self.level,
            Kind::Trend => self.last.map(|_| self.trend_level + self.slope * damped_steps(steps)),
            Kind::SeasonalNaive => self.past.ago(season?, steps),
            Kind::SeasonalScaled => self.scaled(season?, steps),
            Kind::SeasonalMoved => self.moved(season?, steps),
            Kind::LongSeasonUsual => return usual(&self.longest, steps),
            Kind::SeasonUsual => return usual(&self.usual, steps),
            Kind::Waves => return self.waves(steps),
        };
        base.map(|base| Expected { base, deviations: None })
    }

    fn scaled(&self, season: usize, steps: usize) -> Option<f64> {
        let (value, then) = (self.past.ago(season, steps)?, self.past.smoothed_ago(season, 0)?);
        let stretch = if then > 0.0 { self.level? / then } else { 1.0 };
        Some(value * stretch.clamp(1.0 / LARGEST_STRETCH, LARGEST_STRETCH))
    }

    fn moved(&self, season: usize, steps: usize) -> Option<f64> {
        let (ahead, then) = (self.past.smoothed_ago(season, steps)?, self.past.smoothed_ago(season, 0)?);
        Some(self.level? + ahead - then)
    }

    fn waves(&self, steps: usize) -> Option<Expected> {
        let (base, now) = (self.harmonic.ahead(steps)?, self.harmonic.ahead(0)?);
        Some(Expected { base, deviations: Some([self.last? - now, self.level? - now]) })
    }
}

fn usual(profile: &Profile, steps: usize) -> Option<Expected> {
    let (base, deviations) = profile.ahead(steps)?;
    Some(Expected { base, deviations: Some(deviations) })
}

/// The longest but one of `seasons`, which is a day where the longest is a week; they are in order.
pub(crate) fn usual_of(seasons: &[usize]) -> usize {
    seasons.get(seasons.len().saturating_sub(2)).copied().unwrap_or_default()
}

/// The sum of what is left of a trend in each of the next `steps` steps.
fn damped_steps(steps: usize) -> f64 {
    let left = DAMPING.powi(i32::try_from(steps).unwrap_or(i32::MAX));
    DAMPING * (1.0 - left) / (1.0 - DAMPING)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Series {
        /// What `kind` expects where all of a smoothed deviation persists.
        fn expected(&self, kind: Kind, steps: usize) -> Option<f64> {
            let Expected { base, deviations } = self.ahead(kind, steps)?;
            Some((base + deviations.map_or(0.0, |[_, smooth]| smooth)).max(0.0))
        }
    }

    fn series(season: usize, values: impl IntoIterator<Item = f64>) -> Series {
        let mut series = Series::new(&[season, 7 * season]);
        for value in values {
            series.observe(Some(value));
        }
        series
    }

    fn close(value: Option<f64>, expected: f64) {
        let value = value.unwrap();
        assert!((value - expected).abs() < 1e-3 * expected.abs().max(1.0), "{value}, not {expected}");
    }

    /// A day of ten steps, `days` times, each on a level of its own.
    fn days(days: usize, level: impl Fn(usize) -> f64) -> impl Iterator<Item = f64> {
        (0..days * 10).map(move |step| level(step / 10) * (1.0 + (step % 10) as f64))
    }

    #[test]
    fn nothing_seen_nothing_said() {
        assert!(Kind::ALL.iter().all(|&kind| Series::new(&[10, 70]).ahead(kind, 1).is_none()));
    }

    #[test]
    fn a_constant_is_expected_to_stay() {
        let series = series(10, [7.0; 140]);
        for kind in Kind::ALL {
            close(series.expected(kind, 3), 7.0);
        }
    }

    #[test]
    fn a_trend_goes_on_and_tires() {
        let series = series(10, (0..400).map(f64::from));
        let ahead = |steps| series.expected(Kind::Trend, steps).unwrap();
        assert!((ahead(1) - ahead(2)).abs() < 1.0 && ahead(2) > ahead(1) && ahead(1) > 395.0);
        assert!(ahead(10_000) - ahead(1_000) < 1e-6);
    }

    #[test]
    fn a_season_repeats() {
        let series = series(10, days(3, |_| 5.0));
        close(series.expected(Kind::SeasonalNaive, 1), 5.0);
        close(series.expected(Kind::SeasonalNaive, 7), 35.0);
        close(series.expected(Kind::SeasonalNaive, 17), 35.0);
        let scaled = series.expected(Kind::SeasonalScaled, 7).unwrap();
        assert!((scaled - 35.0).abs() < 1.0, "{scaled}");
    }

    #[test]
    fn a_busier_day_stretches_the_season() {
        let series = series(10, days(4, |day| if day == 3 { 10.0 } else { 5.0 }));
        close(series.expected(Kind::SeasonalNaive, 10), 100.0);
        let scaled = series.expected(Kind::SeasonalScaled, 1).unwrap();
        assert!(scaled > 10.0 && scaled < 40.0, "{scaled}");
    }

    #[test]
    fn a_gap_is_not_zero() {
        let mut series = series(10, days(3, |_| 5.0));
        for _ in 0..10 {
            series.observe(None);
        }
        close(series.expected(Kind::LastValue, 1), 50.0);
        close(series.expected(Kind::SeasonalNaive, 7), 35.0);
    }

    #[test]
    fn gaps_and_outliers_are_counted() {
        let mut series = series(10, days(9, |_| 5.0));
        for value in [None, None, Some(10.0), None, Some(1e6)] {
            series.observe(value);
        }
        let history = series.history();
        assert_eq!((history.steps, history.known()), (95, 92));
        assert_eq!((history.missing, history.gaps, history.longest_gap), (3, 2, 2));
        assert_eq!(history.outliers, 1);
    }

    #[test]
    fn a_freak_is_followed_today_and_not_expected_tomorrow() {
        let mut series = series(10, days(9, |_| 5.0));
        series.observe(Some(1e6));
        close(series.expected(Kind::LastValue, 1), 1e6);
        let tomorrow = series.expected(Kind::SeasonalNaive, 10).unwrap();
        assert!(tomorrow < 1_000.0, "{tomorrow}");
    }

    #[test]
    fn what_comes_daily_is_expected_after_some_days() {
        let rush = |day: usize| if day < 9 { 5.0 } else { 0.0 };
        let mut series = series(10, days(9, rush));
        for _ in 0..8 {
            for step in 0..10 {
                series.observe(Some(if step == 0 { 3_000.0 } else { 5.0 * (1.0 + f64::from(step)) }));
            }
        }
        let tomorrow = series.expected(Kind::SeasonalNaive, 1).unwrap();
        assert!(tomorrow > 2_900.0, "{tomorrow}");
    }

    #[test]
    fn demand_is_never_negative() {
        let series = series(10, (0..140).map(|step| f64::from((400 - 10 * step).max(0))));
        assert!(Kind::ALL.iter().all(|&kind| series.expected(kind, 500).unwrap() >= 0.0));
    }
}
