//! How good forecasts were: pinball loss, coverage, MASE.
//!
//! A [`Backtest`] lets forecasters loose on a series as if it happened now: each sees what came before
//! a moment and speaks of the moment one horizon later. What was said is held against the truth only
//! after a warm-up, and two of them are compared over those moments that both spoke of, so that
//! nobody gains by silence.
//!
//! Not here: who speaks. A [`Forecaster`] does, and a referee from elsewhere may.

use crate::{
    cycle::Season,
    forecaster::{Forecaster, Settings},
    model::{History, Kind},
};

/// The loss of saying `said` for the quantile at `level` where `truth` came true.
pub fn pinball(level: f64, said: f64, truth: f64) -> f64 {
    let short = truth - said;
    (level * short).max((level - 1.0) * short)
}

/// The mean loss over all levels.
pub(crate) fn mean_pinball(levels: &[f64], said: &[f64], truth: f64) -> f64 {
    let losses = levels.iter().zip(said).map(|(&level, &said)| pinball(level, said, truth));
    losses.sum::<f64>() / levels.len().max(1) as f64
}

/// The levels that accuracy is reported at: an interval of 90 %, the median, and 90 %.
pub const LEVELS: [f64; 4] = [0.05, 0.5, 0.9, 0.95];

/// A loss of less than this share of what was to be forecast is none.
const NEGLIGIBLE: f64 = 1e-3;

/// Values at [`LEVELS`].
pub type Quantiles = [f64; LEVELS.len()];

/// What was said of each moment of a series, one horizon before.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub quantiles: Vec<Option<Quantiles>>,
    /// How often each model was the one believed most.
    pub believed: Vec<(Kind, usize)>,
    /// What was wrong with the series.
    pub history: History,
    /// The seasons that were looked for.
    pub seasons: Vec<Season>,
}

/// Accuracy of one forecaster over one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// Mean absolute error of the median over that of the value one season ago: below 1 is better.
    /// `None` where no season ago was known.
    pub mase: Option<f64>,
    /// Mean pinball loss at 50, 90 and 95 %, in the unit of the series.
    pub pinball: [f64; 3],
    /// Share of truths within the interval of 90 %.
    pub coverage: f64,
    /// Moments that were forecast.
    pub forecasts: usize,
}

impl Accuracy {
    /// Mean pinball loss over the levels.
    pub fn loss(&self) -> f64 {
        self.pinball.iter().sum::<f64>() / self.pinball.len() as f64
    }
}

/// A series that is forecast as if it happened now.
#[derive(Debug, Clone, Copy)]
pub struct Backtest<'a> {
    /// One value for each step; `None` is a gap.
    pub values: &'a [Option<f64>],
    /// Steps ahead, at least one.
    pub horizon: usize,
    /// Steps of the season whose naive forecast is the measure.
    pub season: usize,
    /// Steps before what is said counts.
    pub warm_up: usize,
}

impl Backtest<'_> {
    /// What a forecaster says that chooses among `kinds`, for a series with these `seasons`.
    pub fn run(&self, seasons: &[usize], kinds: &[Kind]) -> Said {
        let settings = Settings { horizon: self.horizon, seasons: seasons.to_vec(), levels: LEVELS.to_vec() };
        let mut forecaster = Forecaster::with_models(settings, kinds);
        let mut believed: Vec<_> = kinds.iter().map(|&kind| (kind, 0)).collect();
        let mut quantiles = vec![None; self.values.len()];
        for (now, &value) in self.values.iter().enumerate() {
            forecaster.observe(value);
            let Some((place, forecast)) = quantiles.get_mut(now + self.horizon).zip(forecaster.forecast())
            else {
                continue;
            };
            *place = Quantiles::try_from(forecast.quantiles).ok();
            if let Some((_, times)) = believed.iter_mut().find(|(kind, _)| *kind == forecast.model) {
                *times += usize::from(now + self.horizon >= self.warm_up);
            }
        }
        Said { quantiles, believed, history: forecaster.history(), seasons: forecaster.seasons() }
    }

    /// How good it was; `None` where nothing was said.
    pub fn accuracy(&self, said: &Said) -> Option<Accuracy> {
        let mut forecasts = 0;
        let (mut losses, mut within) = ([0.0; 3], 0);
        let mut errors = (0.0, 0.0);
        for (at, truth, said) in self.judged(said) {
            forecasts += 1;
            within += usize::from((said[0]..=said[3]).contains(&truth));
            for (sum, (&level, &said)) in losses.iter_mut().zip(LEVELS.iter().zip(said).skip(1)) {
                *sum += pinball(level, said, truth);
            }
            if let Some(naive) = self.season_ago(at) {
                errors.0 += (truth - said[1]).abs();
                errors.1 += (truth - naive).abs();
            }
        }
        let mean = |sum: f64| sum / forecasts as f64;
        (forecasts > 0).then(|| Accuracy {
            mase: (errors.1 > 0.0).then(|| errors.0 / errors.1),
            pinball: losses.map(mean),
            coverage: mean(within as f64),
            forecasts,
        })
    }

    /// The loss of `one` over that of `other` where both spoke, and how often that was.
    pub fn relative_loss(&self, one: &Said, other: &Said) -> Option<(f64, usize)> {
        let (mut sums, mut moments, mut size) = ((0.0, 0.0), 0, 0.0);
        for (at, truth, said) in self.judged(one) {
            if let Some(other) = &other.quantiles[at] {
                sums.0 += mean_pinball(&LEVELS[1..], &said[1..], truth);
                sums.1 += mean_pinball(&LEVELS[1..], &other[1..], truth);
                moments += 1;
                size += truth.abs();
            }
        }
        // Both are right: what is left is how precisely the past is kept.
        let both_right = sums.0.max(sums.1) <= NEGLIGIBLE * size;
        let ratio = if sums.1 > 0.0 && !both_right { sums.0 / sums.1 } else { 1.0 };
        (moments > 0).then_some((ratio, moments))
    }

    /// Moment, truth and what was said of it, where all of it is known and the warm-up is over.
    fn judged<'a>(&'a self, said: &'a Said) -> impl Iterator<Item = (usize, f64, &'a Quantiles)> {
        let moments = self.values.iter().zip(&said.quantiles).enumerate().skip(self.warm_up);
        moments.filter_map(|(at, (truth, said))| Some((at, (*truth)?, said.as_ref()?)))
    }

    fn season_ago(&self, at: usize) -> Option<f64> {
        let seasons = self.horizon.div_ceil(self.season.max(1)).max(1);
        *self.values.get(at.checked_sub(seasons * self.season)?)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_quantile_pays_for_saying_too_little() {
        let close = |loss: f64, expected: f64| assert!((loss - expected).abs() < 1e-12, "{loss}");
        close(pinball(0.9, 10.0, 20.0), 9.0);
        close(pinball(0.9, 20.0, 10.0), 1.0);
        close(pinball(0.5, 20.0, 10.0), 5.0);
        close(pinball(0.5, 7.0, 7.0), 0.0);
    }

    fn said(quantiles: &[Option<Quantiles>]) -> Said {
        Said {
            quantiles: quantiles.to_vec(),
            believed: Vec::new(),
            history: History::default(),
            seasons: Vec::new(),
        }
    }

    #[test]
    fn figures_are_those_worked_out_by_hand() {
        let values = [Some(1.0), Some(3.0), None, Some(10.0), Some(20.0)];
        let test = Backtest { values: &values, horizon: 1, season: 2, warm_up: 1 };
        let one = said(&[Some([0.0; 4]), None, Some([0.0; 4]), Some([8.0, 9.0, 9.5, 12.0]), None]);
        let accuracy = test.accuracy(&one).unwrap();
        assert_eq!((accuracy.forecasts, accuracy.coverage), (1, 1.0), "gaps and the warm-up do not count");
        // Off by 1 where the value one season ago is off by 7; half of 1, nine tenths of a half, and a twentieth of 2.
        assert!((accuracy.mase.unwrap() - 1.0 / 7.0).abs() < 1e-12);
        for (loss, expected) in accuracy.pinball.into_iter().zip([0.5, 0.45, 0.1]) {
            assert!((loss - expected).abs() < 1e-12, "{accuracy:?}");
        }
        let other = said(&[None, None, None, Some([10.0; 4]), Some([20.0; 4])]);
        assert_eq!(test.relative_loss(&one, &other), Some((1.0, 1)), "a perfect one is no measure");
        assert_eq!(test.relative_loss(&other, &one), Some((0.0, 1)));
        assert_eq!(test.relative_loss(&one, &said(&[None; 5])), None);
        assert_eq!(test.accuracy(&said(&[None; 5])), None);
    }

    #[test]
    fn the_seasonal_naive_is_the_measure() {
        // Days of different height: the naive errs by one everywhere, the last value within a day by none.
        let values: Vec<_> = (0..400).map(|step| Some(f64::from(10 + step / 40))).collect();
        let test = Backtest { values: &values, horizon: 4, season: 40, warm_up: 80 };
        let mase =
            |kind| test.accuracy(&test.run(&[40], &[kind])).and_then(|accuracy| accuracy.mase).unwrap();
        assert!(mase(Kind::SeasonalNaive) <= 1.0);
        assert!(mase(Kind::LastValue) < 0.2);
    }
}
