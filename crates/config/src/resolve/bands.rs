//! Bands: which values are good.

use std::time::Duration;

use tidegate_core::scenario::Band;

use crate::{
    decode::{Field, Located},
    raw::{
        bands as raw,
        scenario::{Numbers, Shares},
    },
    report::{Place, Report},
};

/// Bands for the runs that have all of what is named.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunBands {
    /// The line of the file that it begins in.
    pub line: usize,
    pub trace: Option<String>,
    pub policy: Option<String>,
    pub start_up: Option<Duration>,
    pub buffer: Option<Duration>,
    pub target: Option<f64>,
    pub hold: Option<Duration>,
    /// By the names that figures have in the report. Not empty.
    pub bands: Vec<(&'static str, Band)>,
}

/// Checks everything; `None` exactly when `report` has errors.
pub(crate) fn bands(raw: &raw::Bands, report: &mut Report<'_>) -> Option<Vec<RunBands>> {
    let Located { value: runs, place } = raw.runs.given()?;
    if runs.is_empty() {
        report.error(*place, "no band is given", "add one, like `- { costOverFloor: { atMost: 1.2 } }`");
    }
    runs.resolve(|one, place| run(one, place, report))
}

fn run(raw: &raw::RunBands, place: Place, report: &mut Report<'_>) -> Option<RunBands> {
    let mut found = Vec::new();
    for (name, field) in [("violatedRequests", &raw.violated_requests), ("violatedTime", &raw.violated_time)]
    {
        found.extend(shares(field, report)?.map(|band| (name, band)));
    }
    for (name, field) in [
        ("costOverFloor", &raw.cost_over_floor),
        ("instanceHours", &raw.instance_hours),
        ("actionsPerDay", &raw.actions_per_day),
        ("reversalsPerDay", &raw.reversals_per_day),
        ("thetaU", &raw.theta_u),
        ("thetaO", &raw.theta_o),
        ("tauU", &raw.tau_u),
        ("tauO", &raw.tau_o),
        ("upsilon", &raw.upsilon),
    ] {
        found.extend(numbers(field, report)?.map(|band| (name, band)));
    }
    if found.is_empty() {
        report.error(place, "no band is given here", "add one, like `costOverFloor: { atMost: 1.2 }`");
    }
    Some(RunBands {
        line: place.line,
        trace: raw.trace.optional()?.map(|trace| trace.value.0.clone()),
        policy: raw.policy.optional()?.map(|policy| policy.value.0.clone()),
        start_up: raw.start_up.optional()?.map(|span| span.value.0),
        buffer: raw.buffer.optional()?.map(|span| span.value.0),
        target: raw.target.optional()?.map(|target| target.value.0),
        hold: raw.hold.optional()?.map(|span| span.value.0),
        bands: found,
    })
}

/// A band of shares, where one is given.
#[expect(clippy::option_option, reason = "no band differs from a broken one")]
pub(super) fn shares(field: &Field<Shares>, report: &mut Report<'_>) -> Option<Option<Band>> {
    let Some(Located { value, place }) = field.optional()? else { return Some(None) };
    let ends = (value.at_least.optional()?, value.at_most.optional()?);
    let (at_least, at_most) = (ends.0.map(|end| end.value.0), ends.1.map(|end| end.value.0));
    band(at_least, at_most, *place, report).map(Some)
}

/// A band of numbers, where one is given.
#[expect(clippy::option_option, reason = "no band differs from a broken one")]
pub(super) fn numbers(field: &Field<Numbers>, report: &mut Report<'_>) -> Option<Option<Band>> {
    let Some(Located { value, place }) = field.optional()? else { return Some(None) };
    let ends = (value.at_least.optional()?, value.at_most.optional()?);
    let (at_least, at_most) = (ends.0.map(|end| end.value.0), ends.1.map(|end| end.value.0));
    band(at_least, at_most, *place, report).map(Some)
}

fn band(at_least: Option<f64>, at_most: Option<f64>, place: Place, report: &mut Report<'_>) -> Option<Band> {
    if at_least.is_none() && at_most.is_none() {
        report.error(place, "a band has an end", "add `atLeast`, `atMost` or both");
        return None;
    }
    if let (Some(least), Some(most)) = (at_least, at_most)
        && least > most
    {
        report.error(place, "`atLeast` is above `atMost`, so nothing is good", "exchange them");
        return None;
    }
    Some(Band { at_least, at_most })
}
