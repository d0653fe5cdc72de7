//! Forecasts of one series at one horizon.
//!
//! Every model speaks at every step and is judged when the truth is known; the one with the least
//! pinball loss of late is believed. No model wins everywhere: up to some minutes the last value is
//! hard to beat, seasons pay from about an hour ahead, and in a flash crowd they do harm. What is
//! believed is calibrated once more as a whole.
//!
//! Work per step is constant, memory is one season twice and a few hundred residuals per model. Not
//! here: whether to trust a forecast at all, which is for whoever acts on it to judge by its record.

use serde::{Deserialize, Serialize};

use crate::{
    calibration::Calibration,
    candidate::Candidate,
    model::{Kind, Series},
};

/// A challenger must be this much better, so that noise does not switch models back and forth.
const ADVANTAGE: f64 = 0.98;

/// Values from here on are not believed: they would spoil every sum they enter.
const LARGEST: f64 = 1e15;

/// What to forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Steps ahead, at least one.
    pub horizon: usize,
    /// Steps after which the series may repeat itself; 0: it does not.
    pub season: usize,
    /// Levels of the quantiles, ascending, above 0 and below 1.
    pub levels: Vec<f64>,
}

/// What is expected at the horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Whose word it is.
    pub model: Kind,
    /// One value for each level of the settings.
    pub quantiles: Vec<f64>,
}

/// Learns a series step by step and forecasts it. Serialize it to keep what it learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecaster {
    settings: Settings,
    series: Series,
    candidates: Vec<Candidate>,
    /// The candidate that is believed.
    chosen: Option<usize>,
    calibration: Calibration,
}

impl Forecaster {
    pub fn new(settings: Settings) -> Self {
        Self::with_models(settings, &Kind::ALL)
    }

    /// A forecaster that may choose among `kinds` only.
    pub fn with_models(settings: Settings, kinds: &[Kind]) -> Self {
        let settings = Settings { horizon: settings.horizon.max(1), ..settings };
        let candidate = |&kind: &Kind| Candidate::new(kind, settings.horizon, &settings.levels);
        let candidates = kinds.iter().map(candidate).collect();
        let calibration = Calibration::new(settings.horizon, &settings.levels);
        Self { series: Series::new(settings.season), candidates, chosen: None, calibration, settings }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The next value of the series. `None` is a gap, and so is what is no number, below zero or absurd.
    pub fn observe(&mut self, value: Option<f64>) {
        let value = value.filter(|value| (0.0..LARGEST).contains(value));
        let levels = &self.settings.levels;
        for candidate in &mut self.candidates {
            candidate.judge(levels, value);
        }
        self.calibration.judge(levels, value);
        self.series.observe(value);
        for candidate in &mut self.candidates {
            candidate.speak(levels, &self.series, self.settings.horizon);
        }
        self.choose();
        let chosen = self.chosen.map(|index| &self.candidates[index]);
        let (quantiles, error) =
            (chosen.and_then(Candidate::quantiles), chosen.map_or(0.0, Candidate::error));
        self.calibration.speak(quantiles, error);
    }

    /// What is expected at the horizon; `None` while too little is known to say how sure it is.
    pub fn forecast(&self) -> Option<Forecast> {
        let model = self.candidates[self.chosen?].kind;
        Some(Forecast { model, quantiles: self.calibration.quantiles()?.to_vec() })
    }

    fn choose(&mut self) {
        let speaking = |candidate: &Candidate| candidate.loss.filter(|_| candidate.quantiles().is_some());
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
