//! Forecasts of one series at one horizon.
//!
//! Every model speaks at every step and is judged when the truth is known; those with the least pinball
//! loss of late are believed, each by as much as it comes close to the best. No model wins everywhere:
//! up to some minutes the last value is hard to beat, seasons pay from about an hour ahead, and in a
//! flash crowd they do harm. What is believed is calibrated once more as a whole.
//!
//! Work per step is constant; memory is the usual course of the seasons, the last day, and counts of residuals for each
//! model: some 20 KiB with a day and a week.
//!
//! Not here: what becomes of a forecast. Whether it should be acted on at all is said by [`Trust`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::{
    accuracy::mean_pinball,
    calibration::Calibration,
    candidate::Candidate,
    cycle::Season,
    model::{History, Kind, Series, usual_of},
    trust::{Record, Trust},
};

/// A challenger must be this much better, so that noise does not switch models back and forth.
const ADVANTAGE: f64 = 0.98;

/// How little a model is believed that loses more than the best: one that loses 5 % more counts a third
/// of it, one that loses a quarter more a hundredth.
const SHARPNESS: f64 = 20.0;
/// How much a model is believed before anything speaks for or against it: the simpler the more. While little was judged, the
/// least loss so far is mostly luck.
const fn beforehand(kind: Kind) -> f64 {
    match kind {
        Kind::Level => 1.0,
        Kind::LastValue => 0.5,
        _ => 0.2,
    }
}

/// Who counts less than this is not asked.
const LEAST_WEIGHT: f64 = 0.01;

/// The highest level that honesty is measured at.
const HIGH: f64 = 0.95;

/// Fewest and most steps of a season that is looked for.
const FEWEST_STEPS: f64 = 6.0;
const MOST_STEPS: f64 = 1e6;

/// Values from here on are not believed, and taken for gaps: they would spoil every sum they enter.
pub const LARGEST: f64 = 1e15;

/// Furthest horizon and longest season of what is read back, in steps; most seasons and levels of it.
const FURTHEST: usize = 1 << 22;
const MOST_SEASONS: usize = 16;
const MOST_LEVELS: usize = 64;

/// What to forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Steps ahead, at least one.
    pub horizon: usize,
    /// Steps after which the series may repeat itself, as a day and a week; empty: it does not.
    pub seasons: Vec<usize>,
    /// Levels of the quantiles, ascending, above 0 and below 1.
    pub levels: Vec<f64>,
}

impl Settings {
    /// The seasons of traffic, as far as steps tell them apart: an hour, a day, a week.
    pub fn seasons_of(step: Duration) -> Vec<usize> {
        let steps = |season: u64| (Duration::from_secs(season).as_secs_f64() / step.as_secs_f64()).ceil();
        let told_apart = |steps: &f64| (FEWEST_STEPS..MOST_STEPS).contains(steps);
        [3_600, 86_400, 604_800]
            .map(steps)
            .into_iter()
            .filter(told_apart)
            .map(|steps| steps as usize)
            .collect()
    }

    /// Whether these are some that can be forecast.
    fn check(&self) -> Result<(), Flaw> {
        let horizon = self.horizon;
        Flaw::unless((1..=FURTHEST).contains(&horizon), "horizon", || format!("{horizon} steps"))?;
        let are_seasons =
            self.seasons.len() <= MOST_SEASONS && self.seasons.iter().all(|&one| one <= FURTHEST);
        Flaw::unless(are_seasons, "seasons", || format!("{:?}", self.seasons))?;
        let levels = &self.levels;
        let are_levels = levels.len() <= MOST_LEVELS
            && levels.iter().all(|level| (0.0..=1.0).contains(level))
            && levels.is_sorted_by(|one, other| one < other);
        Flaw::unless(are_levels, "levels", || format!("{levels:?}"))
    }

    fn usual_season(&self) -> usize {
        let mut seasons = self.seasons.clone();
        seasons.sort_unstable();
        usual_of(&seasons)
    }
}

/// What is expected at the horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Who is believed most.
    pub model: Kind,
    /// One value for each level of the settings.
    pub quantiles: Vec<f64>,
}

/// Learns a series step by step and forecasts it. Serialize it to keep what it learned, and [`check`](Self::check) what was
/// read back before it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecaster {
    settings: Settings,
    series: Series,
    candidates: Vec<Candidate>,
    /// The candidate that is believed most.
    chosen: Option<usize>,
    calibration: Calibration,
    record: Record,
}

impl Forecaster {
    pub fn new(settings: Settings) -> Self {
        Self::with_models(settings, &Kind::ALL)
    }

    /// A forecaster that may choose among `kinds` only.
    pub fn with_models(settings: Settings, kinds: &[Kind]) -> Self {
        let settings = Settings { horizon: settings.horizon.max(1), ..settings };
        let season = settings.usual_season();
        let candidate = |&kind: &Kind| Candidate::new(kind, settings.horizon, season, &settings.levels);
        let candidates = kinds.iter().map(candidate).collect();
        let calibration = Calibration::new(settings.horizon, &settings.levels);
        Self {
            series: Series::new(&settings.seasons),
            candidates,
            chosen: None,
            calibration,
            record: Record::default(),
            settings,
        }
    }

    /// A forecaster that goes on with the series of this one under other `settings`, whose steps may be of another
    /// length. How wrong it is at its horizon it has to learn.
    #[must_use]
    pub fn at(&self, settings: Settings) -> Self {
        let series = self.series.in_steps(&settings.seasons);
        Self { series, ..Self::new(settings) }
    }

    /// Whether this is something that a forecaster can have become. One that was read back and is not may panic, or never
    /// forget.
    pub fn check(&self) -> Result<(), Flaw> {
        self.settings.check().map_err(Flaw::of("settings"))?;
        let Settings { horizon, seasons, levels } = &self.settings;
        let (horizon, levels, most) = (*horizon, levels.len(), Kind::ALL.len());
        let candidates = self.candidates.len();
        Flaw::unless(candidates <= most, "candidates", || format!("{candidates} of {most} models"))?;
        let are_sound = self.candidates.iter().try_for_each(|one| one.check(horizon, levels));
        are_sound.map_err(Flaw::of("candidates"))?;
        let is_one = self.chosen.is_none_or(|chosen| chosen < candidates);
        Flaw::unless(is_one, "chosen", || format!("{:?} of {candidates}", self.chosen))?;
        self.series.check(seasons).map_err(Flaw::of("series"))?;
        self.calibration.check(horizon, levels).map_err(Flaw::of("calibration"))?;
        self.record.check().map_err(Flaw::of("record"))
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The next value of the series. `None` is a gap, and so is what is no number, below zero or absurd.
    pub fn observe(&mut self, value: Option<f64>) {
        // As precise as what was said is kept, or a truth would seem to lie beyond a forecast that is equal to it.
        let value = value.filter(|value| (0.0..LARGEST).contains(value)).map(|value| f64::from(value as f32));
        self.keep_record(value);
        let levels = &self.settings.levels;
        for candidate in &mut self.candidates {
            candidate.judge(levels, value);
        }
        self.calibration.judge(levels, value);
        self.series.observe(value);
        for candidate in &mut self.candidates {
            candidate.speak(levels, &self.series);
        }
        self.choose();
        let (quantiles, error) = self.blend();
        self.calibration.speak(quantiles.as_deref(), error);
    }

    /// What is expected at the horizon; `None` while too little is known to say how sure it is.
    pub fn forecast(&self) -> Option<Forecast> {
        let model = self.candidates[self.chosen?].kind;
        Some(Forecast { model, quantiles: self.calibration.quantiles()? })
    }

    /// Whether what is said here has earned to be acted on.
    pub fn trust(&self) -> Trust {
        let level = self.settings.levels.get(self.high_level()).copied().unwrap_or(HIGH);
        self.record.trust(self.settings.horizon, level)
    }

    /// What there was to learn from, and what was wrong with it.
    pub fn history(&self) -> History {
        self.series.history()
    }

    /// The seasons that were looked for, shortest first.
    pub fn seasons(&self) -> Vec<Season> {
        self.series.seasons().collect()
    }

    /// What those say together who come close to the best, and how wrong they were of late.
    fn blend(&self) -> (Option<Vec<f64>>, f64) {
        let Some(best) = self.chosen.and_then(|index| self.candidates[index].loss()) else {
            return (None, 0.0);
        };
        let mut sums = vec![0.0; self.settings.levels.len()];
        let (mut weights, mut error) = (0.0, 0.0);
        for (index, candidate) in self.candidates.iter().enumerate() {
            let Some((loss, quantiles)) = candidate.loss().zip(candidate.quantiles()) else { continue };
            let is_best = Some(index) == self.chosen || loss <= best;
            let evidence = candidate.evidence();
            let close = if is_best { 1.0 } else { (best / loss).powf(SHARPNESS * evidence) };
            let weight = close * beforehand(candidate.kind).powf(1.0 - evidence);
            if weight < LEAST_WEIGHT {
                continue;
            }
            weights += weight;
            error += weight * candidate.error();
            sums.iter_mut().zip(quantiles).for_each(|(sum, quantile)| *sum += weight * quantile);
        }
        let mean = |sum: f64| sum / weights;
        (weights > 0.0)
            .then(|| sums.into_iter().map(mean).collect())
            .map_or((None, 0.0), |said| (Some(said), error / weights))
    }

    /// Holds what was said of this moment against the truth and against the last value.
    fn keep_record(&mut self, truth: Option<f64>) {
        let levels = &self.settings.levels;
        let naive = self.candidates.iter().find(|candidate| candidate.kind == Kind::LastValue);
        if let (Some(truth), Some(said)) = (truth, self.calibration.next())
            && let Some(naive) = naive.and_then(Candidate::next)
        {
            // What was read back may be half a row.
            let beyond = said.get(self.high_level()).is_some_and(|&said| truth > said);
            let (loss, naive) = (mean_pinball(levels, &said, truth), mean_pinball(levels, &naive, truth));
            self.record.judge(loss, naive, beyond);
        }
    }

    /// The level that honesty is measured at: high, but not so high that nothing ever lies beyond.
    fn high_level(&self) -> usize {
        let levels = &self.settings.levels;
        levels.partition_point(|&level| level <= HIGH).saturating_sub(1)
    }

    fn choose(&mut self) {
        let speaking = |candidate: &Candidate| candidate.loss().filter(|_| candidate.quantiles().is_some());
        let losses = self.candidates.iter().map(speaking).enumerate();
        let best = losses.filter_map(|(index, loss)| loss.map(|loss| (index, loss)));
        let Some((best, least)) = best.min_by(|one, other| one.1.total_cmp(&other.1)) else {
            return;
        };
        let present = self.chosen.and_then(|index| speaking(&self.candidates[index]));
        if present.is_none_or(|present| least < present * ADVANTAGE) {
            self.chosen = Some(best);
        }
    }
}

#[cfg(test)]
#[path = "forecaster/tests.rs"]
mod tests;
