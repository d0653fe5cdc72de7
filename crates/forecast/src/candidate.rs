//! A model on probation: what it said is kept until the truth is known, and held against it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    accuracy::pinball,
    model::{Kind, Series},
    residuals::Residuals,
};

/// How much one loss moves the recent loss.
const LOSS_MEMORY: f64 = 0.01;

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
    /// Mean pinball loss over all levels of late; `None` before the first.
    pub(crate) loss: Option<f64>,
}

impl Candidate {
    pub(crate) fn new(kind: Kind, horizon: usize, levels: &[f64]) -> Self {
        Self {
            kind,
            pending: vec![None; horizon].into(),
            residuals: Residuals::new(horizon, levels),
            loss: None,
        }
    }

    /// Holds what was said of this moment against `truth`.
    pub(crate) fn judge(&mut self, levels: &[f64], truth: Option<f64>) {
        let Some((said, truth)) = self.pending.pop_front().flatten().zip(truth) else {
            return;
        };
        if let Some(quantiles) = &said.quantiles {
            let losses = levels.iter().zip(quantiles).map(|(&level, &said)| pinball(level, said, truth));
            let loss = losses.sum::<f64>() / levels.len() as f64;
            self.loss = Some(self.loss.map_or(loss, |old| old + LOSS_MEMORY * (loss - old)));
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

    /// Mean absolute error of late.
    pub(crate) fn error(&self) -> f64 {
        self.residuals.size()
    }

    /// The newest that was said.
    pub(crate) fn quantiles(&self) -> Option<&[f64]> {
        self.pending.back()?.as_ref()?.quantiles.as_deref()
    }
}
