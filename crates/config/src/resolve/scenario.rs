//! Scenarios: legs, events and expectations that make sense together.

use std::time::Duration;

use tidegate_core::{
    PoolId,
    scenario::{Band, Event, Expectation, Gauge, Happening, Leg, Scenario},
};

use crate::{
    decode::{Field, Located},
    leaf::text::Text,
    raw::scenario as raw,
    report::{Place, Report},
    resolve::{bands, fleet},
    units::Rate,
};

/// Longest scenario.
const LONGEST: Duration = Duration::from_hours(31 * 24);
/// The kinds of events, for help.
const KINDS: &str = "`capacity`, `deploy`, `startUp`, `failStarts`, `loseMetrics`, `kill`, `reclaim`, `clockForward` or \
     `clockBack`";

/// Checks everything; `None` exactly when `report` has errors.
pub(crate) fn scenario(raw: &raw::Scenario, report: &mut Report<'_>) -> Option<Scenario> {
    let policy = match raw.scale.optional() {
        Some(Some(scale)) => fleet::policy(&scale.value, fleet::Known::default(), report).map(Some),
        Some(None) => Some(None),
        None => None,
    };
    let demand = demand(raw, report);
    let lasts: Option<Duration> = demand.as_ref().map(|legs| legs.iter().map(|leg| leg.lasts).sum());
    let pools = policy.iter().flatten().flat_map(|policy| &policy.supply.pools);
    let pools: Vec<PoolId> = pools.map(|pool| pool.name.clone()).collect();
    let events = raw
        .events
        .value()
        .and_then(|all| all.resolve(|event, place| check(event, place, (lasts, &pools), report)));
    let expected = raw.expect.given().and_then(|all| {
        if all.value.is_empty() {
            report.error(
                all.place,
                "nothing is expected",
                "say what has to hold, like `- { shrinks: { atMost: 0 } }`",
            );
        }
        all.value.resolve(|one, place| expectation(one, place, lasts, report))
    });
    let mut events = events?;
    events.sort_by_key(|event| event.at);
    Some(Scenario {
        about: raw.about.value()?.0.trim().to_owned(),
        policy: policy?,
        demand: demand?,
        start_up: whole(&raw.start_up, report)?,
        buffer: whole(&raw.buffer, report)?,
        seed: raw.seed.value()?.0,
        capacity: raw.capacity.value()?.0,
        events,
        expectations: expected?,
    })
}

/// A simulated world has whole seconds.
fn whole<const MAX: u64>(
    field: &Field<crate::units::Span<0, MAX>>,
    report: &mut Report<'_>,
) -> Option<Duration> {
    let Located { value, place } = field.given()?;
    if value.0.subsec_nanos() == 0 {
        return Some(value.0);
    }
    report.error(*place, "a simulated world has whole seconds", "write it without a fraction, like `30s`");
    None
}

fn demand(raw: &raw::Scenario, report: &mut Report<'_>) -> Option<Vec<Leg>> {
    let Located { value: legs, place } = raw.demand.given()?;
    if legs.is_empty() {
        report.error(*place, "there is no demand", "add a leg, like `{ for: 10m, rate: 2000/1s }`");
        return None;
    }
    let legs: Vec<Leg> = legs.resolve(|leg, _| {
        let to = leg.rate.value()?.0;
        let from = leg.from.optional()?.map_or(to, |from| from.value.0);
        Some(Leg { lasts: leg.r#for.value()?.0, from, to })
    })?;
    if legs.iter().map(|leg| leg.lasts).sum::<Duration>() > LONGEST {
        report.error(*place, "the scenario is over 31 days long", "shorten its legs");
        return None;
    }
    Some(legs)
}

fn check(
    raw: &raw::Event,
    place: Place,
    (lasts, pools): (Option<Duration>, &[PoolId]),
    report: &mut Report<'_>,
) -> Option<Event> {
    let at = raw.at.given()?;
    if lasts.is_some_and(|end| at.value.0 >= end) {
        report.error(at.place, "this is after the end of the demand", "choose an earlier time, or add a leg");
    }
    let mut kinds = happenings(raw)?;
    kinds.extend(reclaim(raw, pools, report)?);
    if kinds.len() != 1 {
        let message = if kinds.is_empty() { "nothing happens" } else { "this is more than one event" };
        report.error(place, message, format!("write one of {KINDS} for each event"));
        return None;
    }
    let what = kinds.into_iter().next()?;
    if matches!(what, Happening::LoseMetrics { lasts: Duration::ZERO }) {
        report.error(place, "it is not said for how long", "add it, like `for: 10m`");
        return None;
    }
    let momentary = matches!(
        what,
        Happening::Capacity(_)
            | Happening::Deploy(_)
            | Happening::Kill(_)
            | Happening::Clock(_)
            | Happening::Reclaim { .. }
    );
    if let (true, Some(given)) = (momentary, raw.r#for.given()) {
        report.error(
            given.place,
            "`for` has no effect here",
            "remove it, or add a second event that takes it back",
        );
    }
    Some(Event { at: at.value.0, what })
}

/// What an event consists of; `None` when part of it is broken.
fn happenings(raw: &raw::Event) -> Option<Vec<Happening>> {
    let lasts = raw.r#for.optional()?.map(|given| given.value.0);
    let rate = |field: &Field<Rate>| Some(field.optional()?.map(|rate| rate.value.0));
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    let start_up = raw.start_up.optional()?.map(|takes| Happening::StartUp { takes: takes.value.0, lasts });
    let fail = raw.fail_starts.optional()?.map(|share| Happening::FailStarts { share: share.value.0, lasts });
    let lost = raw.lose_metrics.optional()?.filter(|lost| lost.value);
    let lost = lost.map(|_| Happening::LoseMetrics { lasts: lasts.unwrap_or_default() });
    let forward = raw.clock_forward.optional()?.map(|by| Happening::Clock(seconds(by.value.0)));
    let back = raw.clock_back.optional()?.map(|by| Happening::Clock(-seconds(by.value.0)));
    let all = [
        rate(&raw.capacity)?.map(Happening::Capacity),
        rate(&raw.deploy)?.map(Happening::Deploy),
        start_up,
        fail,
        lost,
        raw.kill.optional()?.map(|amount| Happening::Kill(amount.value.0)),
        forward,
        back,
    ];
    Some(all.into_iter().flatten().collect())
}

/// Whose instances are taken back, if any are; `None` when that is wrong.
#[expect(clippy::option_option, reason = "no such event differs from a broken one")]
fn reclaim(raw: &raw::Event, pools: &[PoolId], report: &mut Report<'_>) -> Option<Option<Happening>> {
    let notice = raw.notice.optional()?;
    let Some(Located { value: Text(whose), place }) = raw.reclaim.optional()? else {
        if let Some(notice) = notice {
            report.error(notice.place, "`notice` has no effect here", "remove it; it belongs to `reclaim`");
        }
        return Some(None);
    };
    let pool = pools.iter().position(|pool| pool.as_str() == whose);
    if pools.is_empty() || (pool.is_none() && whose != "all") {
        let names: Vec<_> = pools.iter().map(PoolId::as_str).collect();
        let help = format!("name one of the pools of `scale`, or `all`; there are {}", names.join(", "));
        report.error(*place, format!("`{whose}` is no pool"), help);
        return None;
    }
    Some(Some(Happening::Reclaim { pool, notice: notice.map_or(Duration::ZERO, |notice| notice.value.0) }))
}

fn expectation(
    raw: &raw::Expectation,
    place: Place,
    lasts: Option<Duration>,
    report: &mut Report<'_>,
) -> Option<Expectation> {
    let from = raw.from.given()?;
    let length = raw.r#for.optional()?.map(|given| given.value.0);
    let end = from.value.0 + length.unwrap_or(Duration::from_secs(1));
    if lasts.is_some_and(|lasts| end > lasts) {
        report.error(from.place, "this stretch is beyond the end of the demand", "shorten it, or add a leg");
    }
    let shares = [
        (Gauge::ViolatedRequests, &raw.violated_requests),
        (Gauge::ViolatedTime, &raw.violated_time),
        (Gauge::Saving, &raw.saving),
    ];
    let numbers = [
        (Gauge::CostOverFloor, &raw.cost_over_floor),
        (Gauge::Instances, &raw.instances),
        (Gauge::Actions, &raw.actions),
        (Gauge::Shrinks, &raw.shrinks),
        (Gauge::LearnedRate, &raw.learned_rate),
        (Gauge::Differs, &raw.differs),
    ];
    let mut found: Vec<(Gauge, Band)> = Vec::new();
    for (gauge, field) in shares {
        found.extend(bands::shares(field, report)?.map(|band| (gauge, band)));
    }
    for (gauge, field) in numbers {
        found.extend(bands::numbers(field, report)?.map(|band| (gauge, band)));
    }
    if found.is_empty() {
        report.error(
            place,
            "nothing is expected here",
            "add a band, like `violatedRequests: { atMost: 1% }`",
        );
    }
    Some(Expectation { from: from.value.0, lasts: length, bands: found })
}
