//! `pools` and `budget` of a fleet.

use tidegate_core::policy::{Budget, Pool, PoolKind, Supply};

use crate::{
    decode::Located,
    raw::fleet::{self, pool},
    report::{Place, Report},
    resolve::exclude,
    units::Instances,
};

/// Most instances of a pool that does not say.
const MOST: u32 = 1_000;
/// Most pools of a fleet.
const POOLS: usize = 16;

pub(super) fn supply(raw: &fleet::Scale, report: &mut Report<'_>) -> Option<Supply> {
    let pools = match raw.pools.optional()? {
        Some(given) => {
            exclude(("price", &raw.price), ("pools", &raw.pools), report);
            pools(given, raw.max.value(), report)
        }
        None => Some(Vec::new()),
    };
    let budget = match raw.budget.optional()? {
        Some(Located { value, place }) => budget(value, *place, raw, report).map(Some),
        None => Some(None),
    };
    Some(Supply { pools: pools?, budget: budget? })
}

/// That of a candidate: its own pools or those of the fleet, and the budget of the fleet.
pub(super) fn candidate(
    raw: &fleet::Candidate,
    scale: &fleet::Scale,
    of_fleet: Supply,
    report: &mut Report<'_>,
) -> Option<Supply> {
    let Some(given) = raw.pools.optional()? else { return Some(of_fleet) };
    let max = raw.max.optional()?.map(|max| &max.value).or_else(|| scale.max.value());
    Some(Supply { pools: pools(given, max, report)?, ..of_fleet })
}

fn pools(
    given: &Located<crate::decode::Map<tidegate_core::PoolId, pool::Pool>>,
    max: Option<&Instances>,
    report: &mut Report<'_>,
) -> Option<Vec<Pool>> {
    let Located { value: all, place } = given;
    if all.0.is_empty() || all.0.len() > POOLS {
        let message = format!("there are {} pools", all.0.len());
        report.error(
            *place,
            message,
            format!("name 1 to {POOLS}, like `steady: {{ kind: onDemand, price: 0.1 }}`"),
        );
        return None;
    }
    let pools: Vec<Pool> =
        all.resolve(|name, place, raw| resolve(name, place, raw, report))?.into_values().collect();
    if pools.iter().all(|pool| pool.kind == PoolKind::Spot) {
        let help = "add one that is `onDemand` or `reserved`";
        report.error(*place, "all pools are spot and may vanish", help);
        return None;
    }
    let there: f64 = pools.iter().map(|pool| f64::from(pool.max) * pool.capacity).sum();
    if let Some(max) = max
        && there < f64::from(max.as_u32())
    {
        let message = format!("all pools together have {there:.0} instances, fewer than `max`");
        report.error(*place, message, "raise the `max` of a pool, or lower that of the fleet");
        return None;
    }
    Some(pools)
}

fn resolve(
    name: &tidegate_core::PoolId,
    place: Place,
    raw: &pool::Pool,
    report: &mut Report<'_>,
) -> Option<Pool> {
    let kind = *raw.kind.value()?;
    let max = raw.max.optional()?.map(|max| max.value.as_u32());
    if kind == PoolKind::Reserved && max.is_none() {
        let message = format!("it is not said how many instances of `{name}` are reserved");
        report.error(place, message, "add it, like `max: 4`");
        return None;
    }
    Some(Pool {
        name: name.clone(),
        kind,
        price: raw.price.value()?.0,
        capacity: raw.capacity.value()?.0,
        start_up: raw.start_up.optional()?.map(|takes| takes.value.0),
        interruption: raw.interruption.value()?.0,
        max: max.unwrap_or(MOST),
    })
}

fn budget(
    raw: &pool::FleetBudget,
    place: Place,
    scale: &fleet::Scale,
    report: &mut Report<'_>,
) -> Option<Budget> {
    if scale.price.is_absent() && scale.pools.is_absent() {
        report.error(place, "a budget without prices limits nothing", "add `price`, or `pools`");
        return None;
    }
    Some(Budget {
        monthly: raw.monthly.value()?.0,
        alarm: raw.alarm.value()?.0,
        when_spent: *raw.when_spent.value()?,
    })
}
