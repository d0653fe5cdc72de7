//! Forecasts of real demand: as honest as they say, and as good as the best model in hindsight.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads recorded demand from where the environment says"
)]

mod traces;
