//! A referee from elsewhere: seasonal decomposition and exponential smoothing by `augurs`.
//!
//! It is what one would take to forecast a series offline: MSTL (Bandara, Hyndman and Bergmeir 2021) takes the seasons
//! out, a non-seasonal ETS model chosen by information criterion (Hyndman and Khandakar 2008) goes on with the rest, and
//! its intervals are those of the model. Each forecast is made from a fit of its own, on what came before it
//! and nothing else. A fit takes a good part of a second where an online model takes a
//! microsecond, so only some moments are forecast, evenly spread.
//!
//! Invariant: work is bounded: at most [`Plan::fits`] fits on at most [`WINDOW`] values. Not here: the `forecast`
//! trigger, which never asks it.

use augurs_core::{Fit, Forecast, Predict};
use augurs_ets::AutoETS;
use augurs_mstl::MSTLModel;
use tidegate_forecast::accuracy::Quantiles;

/// Values that a fit sees at most.
pub const WINDOW: usize = 4_096;
/// Fewest values that are worth a fit.
const FEWEST: usize = 16;
/// Error and trend are additive, whose intervals are known in closed form; the trend may be damped or absent.
const MODELS: &str = "AZN";

/// What is asked of the referee.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// One value for each step; `None` is a gap, which is filled by the value before it.
    pub values: &'a [Option<f64>],
    /// Steps after which the series may repeat itself. One counts where a fit sees it twice.
    pub seasons: &'a [usize],
    /// Steps ahead.
    pub horizons: &'a [usize],
    /// Steps before the first forecast.
    pub from: usize,
    /// How often it is asked.
    pub fits: usize,
}

/// What it said of each moment, for each horizon.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdicts {
    pub said: Vec<Vec<Option<Quantiles>>>,
    /// Fits that came to nothing.
    pub failed: usize,
}

/// Forecasts a series from some of its moments.
pub fn forecast(plan: &Plan<'_>) -> Verdicts {
    let filled = filled(plan.values);
    let mut said = vec![vec![None; plan.values.len()]; plan.horizons.len()];
    let mut failed = 0;
    let furthest = plan.horizons.iter().copied().max().unwrap_or_default();
    for end in origins(plan) {
        let known = &filled[end.saturating_sub(WINDOW)..end];
        let Some((middle, outer, inner)) = fit(known, plan.seasons, furthest) else {
            failed += 1;
            continue;
        };
        for (&horizon, said) in plan.horizons.iter().zip(&mut said) {
            if let Some(place) = said.get_mut(end + horizon - 1) {
                *place = quantiles(&middle, &outer, &inner, horizon - 1);
            }
        }
    }
    Verdicts { said, failed }
}

/// The moments before which forecasts are made: what is known are the values before them.
fn origins(plan: &Plan<'_>) -> impl Iterator<Item = usize> {
    let last = plan.values.len().saturating_sub(plan.horizons.iter().copied().min().unwrap_or(1));
    let first = plan.from.max(FEWEST);
    let span = last.saturating_sub(first);
    let count = plan.fits.min(span);
    (0..count).map(move |at| first + at * span / count.max(1))
}

/// Gaps take the value before them, or the first that is known.
fn filled(values: &[Option<f64>]) -> Vec<f64> {
    let mut last = values.iter().flatten().next().copied().unwrap_or_default();
    let fill = |value: &Option<f64>| {
        last = value.unwrap_or(last);
        last
    };
    values.iter().map(fill).collect()
}

/// The middle, and the intervals of 90 % and 80 %.
fn fit(known: &[f64], seasons: &[usize], steps: usize) -> Option<(Forecast, Forecast, Forecast)> {
    let seasons: Vec<_> =
        seasons.iter().copied().filter(|&season| season > 1 && season * 2 <= known.len()).collect();
    let ets = AutoETS::new(1, MODELS).ok()?;
    if seasons.is_empty() {
        let fit = ets.fit(known).ok()?;
        return Some((
            fit.predict(steps, None).ok()?,
            fit.predict(steps, 0.9).ok()?,
            fit.predict(steps, 0.8).ok()?,
        ));
    }
    let fit = MSTLModel::new(seasons, ets.into_trend_model()).fit(known).ok()?;
    Some((fit.predict(steps, None).ok()?, fit.predict(steps, 0.9).ok()?, fit.predict(steps, 0.8).ok()?))
}

/// In the order of [`tidegate_forecast::accuracy::LEVELS`]: 5, 50, 90 and 95 %. Demand is not below zero.
fn quantiles(middle: &Forecast, outer: &Forecast, inner: &Forecast, at: usize) -> Option<Quantiles> {
    let (outer, inner) = (outer.intervals.as_ref()?, inner.intervals.as_ref()?);
    let said = [*outer.lower.get(at)?, *middle.point.get(at)?, *inner.upper.get(at)?, *outer.upper.get(at)?];
    said.iter().all(|value| value.is_finite()).then(|| said.map(|value| value.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(days: usize) -> Vec<Option<f64>> {
        let at = |step: usize| {
            let noise = (step * 7_919 % 13) as f64 / 13.0;
            100.0 + 50.0 * (std::f64::consts::TAU * step as f64 / 24.0).sin() + noise
        };
        (0..days * 24).map(|step| Some(at(step))).collect()
    }

    fn plan(values: &[Option<f64>]) -> Plan<'_> {
        Plan { values, seasons: &[24, 168], horizons: &[1, 6], from: 72, fits: 5 }
    }

    #[test]
    fn a_wave_is_foreseen_at_some_moments() {
        let values = wave(10);
        let verdicts = forecast(&plan(&values));
        assert_eq!(verdicts.failed, 0);
        for said in &verdicts.said {
            assert_eq!(said.iter().flatten().count(), 5);
            for (truth, said) in values.iter().zip(said) {
                let (Some(truth), Some(said)) = (truth, said) else { continue };
                assert!((said[1] - truth).abs() < 10.0, "{said:?} for {truth}");
                assert!(said.is_sorted());
            }
        }
        assert_eq!(verdicts, forecast(&plan(&values)), "it does not throw dice");
    }

    #[test]
    fn the_future_is_not_seen() {
        let mut values = wave(10);
        let before = forecast(&plan(&values));
        // Whatever was said of a moment was said from before it, so another end changes no earlier word.
        let last = before.said[0].iter().rposition(Option::is_some).unwrap();
        for value in &mut values[last..] {
            *value = Some(9_999.0);
        }
        assert_eq!(forecast(&plan(&values)).said[0], before.said[0]);
    }

    #[test]
    fn what_cannot_be_fitted_is_not_forecast() {
        for values in [vec![], vec![None; 40], vec![Some(0.0); 40], vec![Some(1.0); 3]] {
            let verdicts = forecast(&plan(&values));
            assert!(verdicts.said.iter().flatten().flatten().flatten().all(|value| value.is_finite()));
        }
    }
}
