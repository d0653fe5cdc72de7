//! A model on probation: what it said is kept until the truth is known, and held against it.

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::{
    accuracy::mean_pinball,
    model::{Kind, Series, unless_counted},
    pending::Pending,
    persistence::Persistence,
    residuals::Residuals,
};

/// How much one loss moves the recent loss.
const LOSS_MEMORY: f64 = 0.01;
/// Horizons that must have passed before the losses say half of what they can: those of neighbouring moments
/// tell the same story.
const EVIDENCE: f64 = 4.0;
/// What is expected, the base of it, and both deviations come before the quantiles of what was said.
const FIRST: usize = 4;
/// Seasons that the lasting loss remembers.
const LASTING: usize = 2;

/// One model with its record at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Candidate {
    pub(crate) kind: Kind,
    /// What was said of the next steps: see [`FIRST`].
    pending: Pending,
    persistence: Persistence,
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
            pending: Pending::new(horizon, FIRST + levels.len()),
            persistence: Persistence::default(),
            residuals: Residuals::new(horizon, levels),
            recent: 0.0,
            lasting: 0.0,
            judged: 0,
            lasting_memory: LOSS_MEMORY.min(1.0 / (LASTING * season).max(1) as f64),
        }
    }

    pub(crate) fn check(&self, horizon: usize, levels: usize) -> Result<(), Flaw> {
        self.pending.check(horizon, FIRST + levels).map_err(Flaw::of("pending"))?;
        self.residuals.check(horizon, levels).map_err(Flaw::of("residuals"))?;
        self.persistence.check().map_err(Flaw::of("persistence"))?;
        unless_counted("judged", self.judged)
    }

    /// Holds what was said of this moment against `truth`.
    pub(crate) fn judge(&mut self, levels: &[f64], truth: Option<f64>) {
        let Some((said, truth)) = self.pending.due().zip(truth) else {
            return;
        };
        if let Some(quantiles) = said.get(FIRST..).filter(|quantiles| quantiles.len() == levels.len()) {
            let loss = mean_pinball(levels, quantiles, truth);
            self.judged += 1;
            let first = 1.0 / self.judged as f64;
            self.recent += LOSS_MEMORY.max(first) * (loss - self.recent);
            self.lasting += self.lasting_memory.max(first) * (loss - self.lasting);
            for (index, (&level, &said)) in levels.iter().zip(quantiles).enumerate() {
                self.residuals.steer(index, level, truth > said);
            }
        }
        self.residuals.learn(truth - said[0]);
        if let [_, base, first, second, ..] = said[..] {
            self.persistence.learn(self.lasting_memory, [first, second], truth - base);
        }
    }

    /// Speaks about the moment one horizon ahead of the series.
    pub(crate) fn speak(&mut self, levels: &[f64], series: &Series) {
        let Some(said) = series.ahead(self.kind, self.pending.horizon()) else {
            return self.pending.say(None);
        };
        let left = said.deviations.map_or(0.0, |deviations| self.persistence.left(deviations));
        let expected = (said.base + left).max(0.0);
        let [first, second] = said.deviations.unwrap_or_default();
        // A higher level never has a lower value, nor does demand go below zero.
        let mut least = 0.0_f64;
        let quantile = |index| {
            least = least.max(expected + self.residuals.offset(index)?);
            Some(least)
        };
        let quantiles: Option<Vec<f64>> = (0..levels.len()).map(quantile).collect();
        let said: Vec<f64> =
            [expected, said.base, first, second].into_iter().chain(quantiles.unwrap_or_default()).collect();
        self.pending.say(Some(&said));
    }

    /// How bad this model is; `None` before it was judged.
    ///
    /// The loss of late and the loss of a whole season, together: in the quiet hours all models are
    /// about as good, and the one that knows of the rush must not be forgotten for that; while a crowd
    /// comes in, what was good all day must not be believed any longer.
    pub(crate) fn loss(&self) -> Option<f64> {
        (self.judged > 0).then_some(self.recent + self.lasting)
    }

    /// How much its loss says of it, up to 1: the more moments were judged that tell stories of their own.
    pub(crate) fn evidence(&self) -> f64 {
        let judged = self.judged as f64;
        judged / (judged + EVIDENCE * self.pending.horizon() as f64)
    }

    /// Mean absolute error of late.
    pub(crate) fn error(&self) -> f64 {
        self.residuals.size()
    }

    /// What was said of the moment that comes next.
    pub(crate) fn next(&self) -> Option<Vec<f64>> {
        quantiles(&self.pending.due()?)
    }

    /// The newest that was said.
    pub(crate) fn quantiles(&self) -> Option<Vec<f64>> {
        quantiles(&self.pending.newest()?)
    }
}

/// The last part of what was said.
fn quantiles(said: &[f64]) -> Option<Vec<f64>> {
    let quantiles = said.get(FIRST..)?;
    (!quantiles.is_empty()).then(|| quantiles.to_vec())
}
