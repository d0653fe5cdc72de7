//! How good forecasts were: pinball loss, coverage, MASE.
//!
//! The first two seasons are a warm-up: one to see a season at all, one to see how wrong a forecast
//! from it is. Errors are compared with the seasonal naive over the same moments.

use crate::{
    forecaster::{Forecaster, Settings},
    model::Kind,
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

/// Accuracy of one forecaster over one series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Accuracy {
    /// Mean absolute error of the median over that of the seasonal naive: below 1 is better.
    pub mase: f64,
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

/// Forecasts `values` at `horizon`, not beyond a `season`, with a choice among `kinds`.
pub fn assess(values: &[f64], horizon: usize, season: usize, kinds: &[Kind]) -> Accuracy {
    let settings = Settings { horizon, seasons: vec![season, 7 * season], levels: LEVELS.to_vec() };
    let mut forecaster = Forecaster::with_models(settings, kinds);
    let mut accuracy = Accuracy::default();
    let (mut error, mut naive_error) = (0.0, 0.0);
    for (now, &value) in values.iter().enumerate() {
        forecaster.observe(Some(value));
        let (Some(&truth), true) = (values.get(now + horizon), now >= 2 * season) else {
            continue;
        };
        let Some(forecast) = forecaster.forecast() else {
            continue;
        };
        let [low, median, high, highest] = [0, 1, 2, 3].map(|index| forecast.quantiles[index]);
        accuracy.forecasts += 1;
        accuracy.coverage += f64::from(u8::from((low..=highest).contains(&truth)));
        for (loss, (level, said)) in
            accuracy.pinball.iter_mut().zip([(0.5, median), (0.9, high), (0.95, highest)])
        {
            *loss += pinball(level, said, truth);
        }
        error += (truth - median).abs();
        naive_error += (truth - values[(now + horizon).saturating_sub(season)]).abs();
    }
    let count = (accuracy.forecasts as f64).max(1.0);
    accuracy.pinball = accuracy.pinball.map(|loss| loss / count);
    accuracy.coverage /= count;
    accuracy.mase = if naive_error > 0.0 { error / naive_error } else { 0.0 };
    accuracy
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

    #[test]
    fn the_seasonal_naive_is_the_measure() {
        // Days of different height: the naive errs by one everywhere, the last value within a day by none.
        let values: Vec<f64> = (0..400).map(|step| f64::from(10 + step / 40)).collect();
        let naive = assess(&values, 4, 40, &[Kind::SeasonalNaive]);
        assert!(naive.forecasts > 200 && naive.mase <= 1.0, "{naive:?}");
        let last = assess(&values, 4, 40, &[Kind::LastValue]);
        assert!(last.mase < 0.2, "{last:?}");
    }
}
