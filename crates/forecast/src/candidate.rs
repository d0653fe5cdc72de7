//! A model on probation: what it said is kept until the truth is known, and held against it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    accuracy::mean_pinball,
    model::{Kind, Series},
    residuals::Residuals,
};

/// How much one loss moves the recent loss.
const LOSS_MEMORY: f64 = 0.01;
/// Seasons that the lasting loss remembers.
const LASTING: usize = 2;

/// What was said of one moment: one value for each level, in the order of the levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    expected: f64,
    quantiles: Option<Vec<f64>>,
}

/// One model with its record at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Candidate {
    pub(crate) kind: Kind,
    /// What was said of the next steps, the nearest first.
    pending: VecDeque<Option<Said>>,
    residuals: Residuals,
    /// Mean pinball losses over all levels: of the last hour or two, and of the last season.
    recent: f64,
    lasting: f64,
    /// Losses so far.
    judged: u64,
    /// How much one loss moves the lasting loss.
    lasting_memory: f64,
}

impl Candidate {
    /// A model of a series that repeats itself after `season` steps.
    pub(crate) fn new(kind: Kind, horizon: usize, season: usize, levels: &[f64]) -> Self {
        Self {
            kind,
            pending: vec![None; horizon].into(),
            residuals: Residuals::new(horizon, levels),
            recent: 0.0,
            lasting: 0.0,
            judged: 0,
            lasting_memory: LOSS_MEMORY.min(1.0 / (LASTING * season).max(1) as f64),
        }
    }

    /// Holds what was said of this moment against `truth`.
    pub(crate) fn judge(&mut self, levels: &[f64], truth: Option<f64>) {
        let Some((said, truth)) = self.pending.pop_front().flatten().zip(truth) else {
            return;
        };
        if let Some(quantiles) = &said.quantiles {
            let loss = mean_pinball(levels, quantiles, truth);
            self.judged += 1;
            let first = 1.0 / self.judged as f64;
            self.recent += LOSS_MEMORY.max(first) * (loss - self.recent);
            self.lasting += self.lasting_memory.max(first) * (loss - self.lasting);
            for (index, (&level, &said)) in levels.iter().zip(quantiles).enumerate() {
                self.residuals.steer(index, level, truth > said);
            }
        }
        self.residuals.learn(truth - said.expected);
    }

    /// Speaks about the moment `horizon` steps ahead of the series.
    pub(crate) fn speak(&mut self, levels: &[f64], series: &Series, horizon: usize) {
        let said = series.ahead(self.kind, horizon).map(|expected| {
            // A higher level never has a lower value, nor does demand go below zero.
            let mut least = 0.0_f64;
            let mut quantile = |index| {
                least = least.max(expected + self.residuals.offset(index)?);
                Some(least)
            };
            Said { expected, quantiles: (0..levels.len()).map(&mut quantile).collect() }
        });
        self.pending.push_back(said);
    }

    /// How bad this model is; `None` before it was judged.
    ///
    /// The loss of late and the loss of a whole season, together: in the quiet hours all models are
    /// about as good, and the one that knows of the rush must not be forgotten for that; while a crowd
    /// comes in, what was good all day must not be believed any longer.
    pub(crate) fn loss(&self) -> Option<f64> {
        (self.judged > 0).then_some(self.recent + self.lasting)
    }

    /// Mean absolute error of late.
    pub(crate) fn error(&self) -> f64 {
        self.residuals.size()
    }

    /// What was said of the moment that comes next.
    pub(crate) fn next(&self) -> Option<&[f64]> {
        self.pending.front()?.as_ref()?.quantiles.as_deref()
    }

    /// The newest that was said.
    pub(crate) fn quantiles(&self) -> Option<&[f64]> {
        self.pending.back()?.as_ref()?.quantiles.as_deref()
    }
}
