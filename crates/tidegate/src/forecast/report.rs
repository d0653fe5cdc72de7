//! The figures of all forecasts, as they are printed for programs.

use std::time::Duration;

use serde::Serialize;
use tidegate_core::trace::Recording;
use tidegate_forecast::{
    History, Kind, Season, Settings,
    accuracy::{Backtest, Quantiles, Said},
    forecaster::LARGEST,
};
use tidegate_referee::Plan;

use super::{input::Span, plot::Sketch};

const DAY: Duration = Duration::from_hours(24);

/// What the rolling choice is called among the models.
pub(super) const CHOICE: &str = "choice";
/// And the model from elsewhere, which the choice cannot choose.
pub(super) const REFEREE: &str = "augurs (MSTL, ETS)";

/// All files, in the order of the command line.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) files: Vec<Recorded>,
}

/// One recording and how it was forecast.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recorded {
    pub(super) file: String,
    pub(super) step_seconds: f64,
    pub(super) steps: usize,
    pub(super) missing: u64,
    pub(super) gaps: u64,
    pub(super) longest_gap_seconds: f64,
    pub(super) outliers: u64,
    /// Rates that no demand can have, which are taken for gaps.
    pub(super) absurd: usize,
    /// Those that were looked for.
    pub(super) seasons: Vec<Repeats>,
    pub(super) warm_up_seconds: f64,
    pub(super) horizons: Vec<Ahead>,
}

/// A season, as far as the recording has it at its end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Repeats {
    pub(super) seconds: f64,
    /// Of the values with those one season before.
    pub(super) correlation: f64,
    pub(super) found: bool,
}

/// Forecasts at one horizon.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ahead {
    pub(super) horizon_seconds: f64,
    /// What was forecast in its place: whole steps.
    pub(super) forecast_seconds: f64,
    pub(super) steps: usize,
    /// The choice first, the referee last. Who never spoke is not listed.
    pub(super) models: Vec<Judged>,
    /// How much more the choice lost than the single model that was best in hindsight; below zero: less.
    pub(super) worse_than_best: Option<f64>,
}

/// How good one model was, in the unit of the recording.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Judged {
    pub(super) model: String,
    /// Error of the median over that of the value one day ago.
    pub(super) mase: Option<f64>,
    pub(super) pinball: Pinball,
    /// Share of truths within the interval of 90 %.
    pub(super) coverage90: f64,
    pub(super) forecasts: usize,
    /// Loss of the choice over that of this model where both spoke: below 1, the choice was better.
    pub(super) choice_loss: Option<f64>,
    /// Share of moments for which the choice believed this model most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) believed: Option<f64>,
}

/// Mean losses.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Pinball {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p95: f64,
    pub(super) mean: f64,
}

/// What is to be found out about each recording.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course<'a> {
    pub(super) horizons: &'a [Span],
    pub(super) warm_up: Span,
    /// Fits of the referee.
    pub(super) fits: u32,
    /// The horizon that is drawn.
    pub(super) drawn: Option<Span>,
}

impl Report {
    /// Forecasts one recording; what is to be drawn of it, if anything is.
    pub(super) fn add(&mut self, name: &str, recording: &Recording, course: &Course<'_>) -> Option<Sketch> {
        let (step, values) = (recording.step(), recording.values());
        let day = steps(DAY, step);
        let warm_up = match steps(course.warm_up.duration(), step) {
            long if 2 * long > values.len() => values.len() / 4,
            warm_up => warm_up,
        };
        let seasons = Settings::seasons_of(step);
        let mut history = History::default();
        let mut repeats = Vec::new();
        let mut found = Vec::new();
        let ahead: Vec<_> = course.horizons.iter().map(|horizon| steps(horizon.duration(), step)).collect();
        let plan =
            Plan { values, seasons: &seasons, horizons: &ahead, from: warm_up, fits: course.fits as usize };
        let mut verdicts = tidegate_referee::forecast(&plan).said.into_iter();
        for horizon in course.horizons.iter().map(|horizon| horizon.duration()) {
            let verdict = verdicts.next().unwrap_or_default();
            let steps = steps(horizon, step);
            if let Some(same) = found.iter().find(|other: &&Ahead| other.steps == steps) {
                found.push(Ahead { horizon_seconds: horizon.as_secs_f64(), ..same.clone() });
                continue;
            }
            let test = Backtest { values, horizon: steps, season: day, warm_up };
            let choice = test.run(&seasons, &Kind::ALL);
            history = choice.history;
            let season = |season: &Season| Repeats {
                seconds: season.steps as f64 * step.as_secs_f64(),
                correlation: season.correlation,
                found: season.found,
            };
            repeats = choice.seasons.iter().map(season).collect();
            found.push(Ahead::new(horizon, step, &test, &seasons, &choice, verdict));
        }
        self.files.push(Recorded {
            file: name.to_owned(),
            step_seconds: step.as_secs_f64(),
            steps: values.len(),
            missing: history.missing,
            gaps: history.gaps,
            longest_gap_seconds: history.longest_gap as f64 * step.as_secs_f64(),
            outliers: history.outliers,
            absurd: values.iter().flatten().filter(|&&rate| rate >= LARGEST).count(),
            seasons: repeats,
            warm_up_seconds: warm_up as f64 * step.as_secs_f64(),
            horizons: found,
        });
        let horizon = course.drawn?.duration();
        let test = Backtest { values, horizon: steps(horizon, step), season: day, warm_up };
        Some(Sketch { horizon, said: test.run(&seasons, &Kind::ALL).quantiles })
    }
}

/// The fewest whole steps that cover `span`, at least one.
fn steps(span: Duration, step: Duration) -> usize {
    usize::try_from(span.as_nanos().div_ceil(step.as_nanos())).unwrap_or(usize::MAX).max(1)
}

impl Ahead {
    fn new(
        horizon: Duration,
        step: Duration,
        test: &Backtest<'_>,
        seasons: &[usize],
        choice: &Said,
        verdict: Vec<Option<Quantiles>>,
    ) -> Self {
        let times: usize = choice.believed.iter().map(|(_, times)| times).sum();
        let mut models: Vec<Judged> = Judged::new(CHOICE, test, choice, choice).into_iter().collect();
        let mut worst: Option<f64> = None;
        for &(kind, believed) in &choice.believed {
            let said = test.run(seasons, &[kind]);
            let Some(mut model) = Judged::new(kind.name(), test, &said, choice) else { continue };
            model.believed = Some(believed as f64 / times.max(1) as f64);
            worst = worst.into_iter().chain(model.choice_loss).reduce(f64::max);
            models.push(model);
        }
        let verdict =
            Said { quantiles: verdict, believed: Vec::new(), history: choice.history, seasons: Vec::new() };
        models.extend(Judged::new(REFEREE, test, &verdict, choice));
        Self {
            horizon_seconds: horizon.as_secs_f64(),
            forecast_seconds: (step * test.horizon as u32).as_secs_f64(),
            steps: test.horizon,
            models,
            worse_than_best: worst.map(|worst| worst - 1.0),
        }
    }
}

impl Judged {
    fn new(name: &str, test: &Backtest<'_>, said: &Said, choice: &Said) -> Option<Self> {
        let accuracy = test.accuracy(said)?;
        let [p50, p90, p95] = accuracy.pinball;
        Some(Self {
            model: name.to_owned(),
            mase: accuracy.mase,
            pinball: Pinball { p50, p90, p95, mean: accuracy.loss() },
            coverage90: accuracy.coverage,
            forecasts: accuracy.forecasts,
            choice_loss: test.relative_loss(choice, said).map(|(ratio, _)| ratio),
            believed: None,
        })
    }
}
