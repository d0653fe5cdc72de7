//! The shape of the seasons as a few waves, learned by gradient steps (a Fourier series fitted online).
//!
//! Where the same moment yesterday is one noisy value, waves are what all days have in common. They
//! are slow to learn and slow to forget, which is their use.
//!
//! Not here: how far the present is from the shape. That is the model's, see [`crate::model`].

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};
use tidegate_core::Flaw;

use crate::model::unless_counted;

/// Waves per season: its length, a half of it, a third and so on.
const WAVES: usize = 5;

/// Mean and waves of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Harmonic {
    seasons: Vec<usize>,
    /// Values seen, gaps included: where the series is in its seasons.
    steps: u64,
    mean: f64,
    /// Cosine and sine of each wave, season by season.
    waves: Vec<(f64, f64)>,
}

impl Harmonic {
    pub(crate) fn new(seasons: &[usize]) -> Self {
        let waves = vec![(0.0, 0.0); seasons.len() * WAVES];
        Self { seasons: seasons.to_vec(), steps: 0, mean: 0.0, waves }
    }

    /// Whether it is of the same seasons as `fresh`.
    pub(crate) fn check(&self, fresh: &Self) -> Result<(), Flaw> {
        let (seasons, waves) = (&self.seasons, self.waves.len());
        Flaw::unless(*seasons == fresh.seasons, "seasons", || {
            format!("{seasons:?}, not {:?}", fresh.seasons)
        })?;
        Flaw::unless(waves == fresh.waves.len(), "waves", || {
            format!("{waves} instead of {}", fresh.waves.len())
        })?;
        unless_counted("steps", self.steps)
    }

    /// The next value; `None` if it is not known.
    pub(crate) fn observe(&mut self, value: Option<f64>) {
        self.steps += 1;
        let Some((value, &shortest)) = value.zip(self.seasons.first()) else {
            return;
        };
        if self.mean == 0.0 {
            self.mean = value;
        }
        let pace = 1.0 / (shortest.max(2 * self.waves.len()) as f64);
        let error = value - self.expected(0);
        self.mean += pace * error;
        for (season, waves) in self.seasons.iter().zip(self.waves.chunks_exact_mut(WAVES)) {
            let mut turn = Turn::new(self.steps, *season);
            for (cosine, sine) in waves {
                let (c, s) = turn.next();
                *cosine += 2.0 * pace * error * c;
                *sine += 2.0 * pace * error * s;
            }
        }
    }

    /// What the waves say of the moment `steps` ahead; only once the shortest season was seen twice.
    pub(crate) fn ahead(&self, steps: usize) -> Option<f64> {
        let shortest = *self.seasons.first()? as u64;
        (self.steps >= 2 * shortest).then(|| self.expected(steps as u64))
    }

    fn expected(&self, steps: u64) -> f64 {
        let mut sum = self.mean;
        for (season, waves) in self.seasons.iter().zip(self.waves.chunks_exact(WAVES)) {
            let mut turn = Turn::new(self.steps + steps, *season);
            for (cosine, sine) in waves {
                let (c, s) = turn.next();
                sum += cosine * c + sine * s;
            }
        }
        sum
    }
}

/// Cosine and sine of one angle, of twice the angle, and so on.
struct Turn {
    first: (f64, f64),
    now: (f64, f64),
}

impl Turn {
    fn new(step: u64, season: usize) -> Self {
        let season = season.max(1) as u64;
        let (sine, cosine) = (TAU * (step % season) as f64 / season as f64).sin_cos();
        Self { first: (cosine, sine), now: (1.0, 0.0) }
    }

    fn next(&mut self) -> (f64, f64) {
        let ((c, s), (c1, s1)) = (self.now, self.first);
        self.now = (c * c1 - s * s1, s * c1 + c * s1);
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_of_two_seasons_are_found() {
        let shape = |step: usize| {
            let day = (TAU * step as f64 / 24.0).sin() + 0.4 * (2.0 * TAU * step as f64 / 24.0).cos();
            let week = (TAU * step as f64 / 168.0).cos();
            100.0 + 30.0 * day + 20.0 * week
        };
        let mut harmonic = Harmonic::new(&[24, 168]);
        for step in 0..2_000 {
            harmonic.observe(Some(shape(step)));
        }
        for ahead in [1, 10, 100] {
            let error = harmonic.ahead(ahead).unwrap() - shape(1_999 + ahead);
            assert!(error.abs() < 2.0, "{ahead} ahead: {error}");
        }
    }

    #[test]
    fn it_says_nothing_before_two_seasons_and_nothing_without_one() {
        let mut harmonic = Harmonic::new(&[10]);
        for _ in 0..19 {
            harmonic.observe(Some(5.0));
        }
        assert_eq!(harmonic.ahead(1), None);
        harmonic.observe(None);
        assert!(harmonic.ahead(1).is_some());
        assert_eq!(Harmonic::new(&[]).ahead(1), None);
    }
}
