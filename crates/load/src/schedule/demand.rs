//! How many requests per second there should be, at any moment.

use std::{f64::consts::TAU, sync::Arc, time::Duration};

use clap::ValueEnum;
use tidegate_core::trace::Trace;

/// Share of the peak at which a spike and a diurnal wave have their floor.
const FLOOR: f64 = 0.1;

/// When a spike begins to rise, reaches its peak, leaves it and is over, as shares of the duration.
const SPIKE: [f64; 4] = [0.40, 0.45, 0.55, 0.60];

/// The longest step over which a rate is held constant.
const LONGEST_STEP: Duration = Duration::from_millis(10);

/// The longest that a demand may last.
pub const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Requests per second over time.
#[derive(Debug, Clone)]
pub enum Demand {
    Shaped {
        shape: Shape,
        /// Requests per second where the shape is highest: finite and not negative.
        peak: f64,
        /// At most [`LONGEST`].
        duration: Duration,
    },
    Recorded {
        trace: Arc<Trace>,
        /// Seconds of the trace that pass in one second, above zero; rates stay as the trace has them.
        speed: f64,
        /// Until the replay ends, however much of the trace is left. At most [`LONGEST`].
        duration: Duration,
    },
}

/// A course of demand that stretches over the whole duration of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Shape {
    /// The rate throughout.
    #[default]
    Steady,
    /// From nothing to the rate, in a straight line.
    Ramp,
    /// A tenth of the rate, and all of it for a tenth of the time in the middle.
    Spike,
    /// One day: a tenth of the rate at both ends, a wave up to the rate between them.
    Diurnal,
}

impl Demand {
    /// All of `trace` that is over within [`LONGEST`], `speed` times as fast as it was recorded.
    pub fn recorded(trace: Arc<Trace>, speed: f64) -> Self {
        let seconds = trace.duration().as_secs_f64() / speed;
        let duration = Duration::try_from_secs_f64(seconds).map_or(LONGEST, |length| length.min(LONGEST));
        Self::Recorded { trace, speed, duration }
    }

    pub const fn duration(&self) -> Duration {
        match self {
            Self::Shaped { duration, .. } | Self::Recorded { duration, .. } => *duration,
        }
    }

    /// Requests per second, `seconds` after the start.
    pub fn rate_at(&self, seconds: f64) -> f64 {
        match self {
            Self::Shaped { shape, peak, duration } => peak * shape.height(seconds / duration.as_secs_f64()),
            Self::Recorded { trace, speed, .. } => trace.rate_at(seconds * speed),
        }
    }

    /// How finely the demand must be sampled to be followed closely.
    pub(super) fn step(&self) -> Duration {
        let detail = match self {
            Self::Shaped { duration, .. } => *duration / 1_000,
            Self::Recorded { trace, speed, .. } => trace.step().div_f64(speed * 8.0),
        };
        detail.clamp(Duration::from_micros(10), LONGEST_STEP)
    }
}

impl Shape {
    /// Share of the peak at `moment`, which runs from 0 to 1.
    fn height(self, moment: f64) -> f64 {
        let moment = moment.clamp(0.0, 1.0);
        match self {
            Self::Steady => 1.0,
            Self::Ramp => moment,
            Self::Spike => {
                let [rise, peak, leave, end] = SPIKE;
                let up = (moment - rise) / (peak - rise);
                let down = (end - moment) / (end - leave);
                FLOOR + (1.0 - FLOOR) * up.min(down).clamp(0.0, 1.0)
            }
            Self::Diurnal => FLOOR + (1.0 - FLOOR) * (1.0 - (TAU * moment).cos()) / 2.0,
        }
    }
}
