//! The `target` trigger: keep a metric, per instance, at a value.
//!
//! The arithmetic is that of Kubernetes' HPA, `ceil(total / value)`, with a tolerance around the
//! present count. Totals are compared with the count that is *desired*, not with the one that is
//! ready: instances that still start will take their share, so the same capacity is never ordered
//! twice.
//!
//! Requests in flight that wait for the first instance are no demand that stays, see [`crate::service`].
//!
//! Utilization is the odd one out, because it cannot show more than 100 %. Saturated instances
//! mean that demand is larger than they show; how much larger is told, in this order, by the
//! arrivals and the learned work per request, by the requests that queue, or by nothing: then the
//! fleet doubles with each generation of instances that becomes ready.

use tidegate_core::policy::{Target, TargetMetric};

pub(crate) use crate::sight::Sight;
use crate::{
    opinion::{Opinion, Wanted},
    words::{self, Words, instances, number, percent},
};

/// From here on, utilization no longer shows the demand.
const SATURATED: f64 = 0.95;
/// Largest factor by which saturation without known arrivals grows a fleet at once.
const LARGEST_GROWTH: f64 = 4.0;
/// Seconds within which a queue should be worked off by added instances.
const CATCH_UP_SECONDS: f64 = 10.0;
/// Less than this of an instance is rounding, not demand.
const ROUNDING: f64 = 1e-9;

pub(crate) fn name(target: &Target) -> String {
    let label = words::label(&target.signal());
    match target.metric {
        TargetMetric::Utilization => format!("target {label} {}", percent(target.value)),
        metric => format!("target {label} {} per instance", words::value(metric.whole(), target.value)),
    }
}

pub(crate) fn opinion(target: &Target, sight: &Sight<'_>, words: Words) -> Opinion {
    match target.metric {
        TargetMetric::Utilization => utilization(target, sight, words),
        TargetMetric::Concurrency => concurrency(target, sight, words),
        TargetMetric::ArrivalRate => total(target, sight, "requests/s", words),
        TargetMetric::Cpu => total(target, sight, "cores in use", words),
        TargetMetric::Memory => total(target, sight, "bytes resident", words),
        TargetMetric::Network => total(target, sight, "bytes/s", words),
        TargetMetric::LuaMemory => total(target, sight, "bytes of Lua", words),
        TargetMetric::LuaCoroutines => total(target, sight, "coroutines", words),
    }
}

/// A metric that is shared out over however many instances there are.
fn total(target: &Target, sight: &Sight<'_>, unit: &str, words: Words) -> Opinion {
    let Some(total) = sight.metrics.read(&target.signal()) else {
        return Opinion::missing(words, || format!("{unit} are not known"));
    };
    let needed = total / target.value;
    let demand = || {
        let (all, each) = match target.metric {
            TargetMetric::Memory | TargetMetric::Network | TargetMetric::LuaMemory => (
                words::value(target.metric.whole(), total),
                words::value(target.metric.whole(), target.value),
            ),
            _ => (format!("{} {unit}", number(total)), number(target.value)),
        };
        format!("{all} are {} at {each} each", needs(needed))
    };
    within_tolerance(target.tolerance, sight, needed, demand, words)
}

/// Requests in flight, of which those that wait for the first instance, or did until a moment ago, are a backlog: they are to be
/// worked off, and do not stay as many. How many do is Little's law.
fn concurrency(target: &Target, sight: &Sight<'_>, words: Words) -> Opinion {
    const UNIT: &str = "requests in flight";
    let in_flight = sight.metrics.read(&target.signal()).filter(|_| target.route.is_none());
    let (Some(in_flight), Some(rate), Some(service)) = (in_flight, sight.metrics.arrival_rate, sight.service)
    else {
        return total(target, sight, UNIT, words);
    };
    let lasting = rate * service;
    if in_flight <= lasting {
        return total(target, sight, UNIT, words);
    }
    let besides = (in_flight - lasting) * (service / CATCH_UP_SECONDS).min(1.0);
    let needed = (lasting + besides) / target.value;
    let demand = || {
        let (rate, service, waited) = (number(rate), number(service * 1e3), number(in_flight - lasting));
        let (lasting, value) = (number(lasting), number(target.value));
        format!(
            "{rate} requests/s that take {service}ms each are {lasting} in flight, and {waited} waited for an instance: {} at \
             {value} each",
            needs(needed)
        )
    };
    within_tolerance(target.tolerance, sight, needed, demand, words)
}

fn utilization(target: &Target, sight: &Sight<'_>, words: Words) -> Opinion {
    let ready = sight.instances.ready;
    if ready == 0 {
        return nobody_ready(target, sight, words);
    }
    let Some(utilization) = sight.metrics.utilization else {
        return Opinion::missing(words, || "utilization is not known".to_owned());
    };
    if utilization >= SATURATED {
        return saturated(target, sight, utilization, words);
    }
    // Instances that became ready just now may or may not be in the mean. So they count on the side
    // of shrinking only, and where the two readings do not agree the count stays.
    let needed_by = |count: u32| utilization * f64::from(count) / target.value;
    let (least, most) = (needed_by(sight.settled), needed_by(ready));
    let needed = f64::from(sight.desired).min(most).max(least);
    let demand = || {
        let (count, busy, value) = (instances(ready), percent(utilization), percent(target.value));
        match ready.saturating_sub(sight.settled) {
            0 => format!("{count} at {busy} busy are {} at {value}", number(needed)),
            new => format!("{count}, {new} of them new, at {busy} busy are {} at {value}", number(needed)),
        }
    };
    within_tolerance(target.tolerance, sight, needed, demand, words)
}

/// Instances that are busy all the time say "at least this many", and no more than that.
fn saturated(target: &Target, sight: &Sight<'_>, utilization: f64, words: Words) -> Opinion {
    let metrics = sight.metrics;
    let queued = metrics.queued.unwrap_or(0.0);
    let present = f64::from(sight.settled);
    let (demand, told): (f64, String) = if let (Some(rate), Some(work)) = (metrics.arrival_rate, sight.work) {
        let demand = (rate * work).max(present) + queued * work / CATCH_UP_SECONDS;
        let told = words.say(|| {
            let (rate, work, busy) = (number(rate), number(work * 1e3), number(demand));
            format!("{rate} requests/s of {work}ms work{} keep {busy} busy", waiting(queued))
        });
        (demand, told)
    } else if let Some(in_flight) =
        metrics.concurrency.map(|all| all - queued).filter(|&rest| queued > 0.0 && rest > 0.0)
    {
        let factor = (1.0 + queued / in_flight).min(LARGEST_GROWTH).max(2.0 * target.value);
        let told = words.say(|| format!("{} wait beside {} in flight", number(queued), number(in_flight)));
        (present * factor, told)
    } else {
        (present * 2.0 * target.value, words.say(|| "nothing tells how much, so twice as many".to_owned()))
    };
    let needed = demand / target.value;
    // What has been ordered may be what is missing, so saturation never asks for less.
    let wanted = ceil(needed).max(sight.settled.saturating_add(1)).max(sight.desired);
    Opinion {
        wanted: Wanted::Count(wanted),
        because: words.say(|| {
            let (ready, busy) = (instances(sight.settled), percent(utilization));
            let value = percent(target.value);
            format!("{ready} at {busy} busy are saturated and demand is larger than they show: {told}, {} at {value}", needs(needed))
        }),
    }
}

/// Without a ready instance, utilization says nothing; requests that arrive still do.
fn nobody_ready(target: &Target, sight: &Sight<'_>, words: Words) -> Opinion {
    let metrics = sight.metrics;
    let (rate, queued) = (metrics.arrival_rate.unwrap_or(0.0), metrics.queued.unwrap_or(0.0));
    let asked = rate > 0.0 || queued > 0.0;
    if !asked && metrics.arrival_rate.is_none() {
        return Opinion::missing(words, || "no instance is ready and arrivals are not known".to_owned());
    }
    if !asked && sight.instances.starting == 0 {
        return Opinion {
            wanted: Wanted::Count(0),
            because: words.say(|| "no instance is ready and no request asks for one".to_owned()),
        };
    }
    let work = sight.work.unwrap_or(0.0);
    let needed = (rate * work + queued * work / CATCH_UP_SECONDS) / target.value;
    // What has been ordered is kept until it can show what it is worth.
    let wanted = ceil(needed).max(sight.desired).max(1);
    Opinion {
        wanted: Wanted::Count(wanted),
        because: words.say(|| match sight.instances.starting {
            0 => format!("no instance is ready for {} requests/s{}", number(rate), waiting(queued)),
            starting => format!("{} starting and none is ready to show how busy it is", are(starting)),
        }),
    }
}

/// `needed` as a whole number, or the present count where it is close enough.
pub(crate) fn within_tolerance(
    tolerance: f64,
    sight: &Sight<'_>,
    needed: f64,
    demand: impl Fn() -> String,
    words: Words,
) -> Opinion {
    let desired = f64::from(sight.desired);
    if sight.desired > 0 && (needed - desired).abs() <= tolerance * desired {
        let because = words
            .say(|| format!("{}, within {} of the present {}", demand(), percent(tolerance), sight.desired));
        return Opinion { wanted: Wanted::Count(sight.desired), because };
    }
    Opinion { wanted: Wanted::Count(ceil(needed)), because: words.say(demand) }
}

pub(crate) fn ceil(needed: f64) -> u32 {
    (needed - ROUNDING).ceil() as u32
}

pub(crate) fn needs(needed: f64) -> String {
    match number(needed).as_str() {
        "1" => "1 instance".to_owned(),
        count => format!("{count} instances"),
    }
}

fn waiting(queued: f64) -> String {
    if queued > 0.0 { format!(" and {} that wait", number(queued)) } else { String::new() }
}

fn are(count: u32) -> String {
    format!("{} {}", instances(count), if count == 1 { "is" } else { "are" })
}

#[cfg(test)]
#[path = "target/tests.rs"]
mod tests;
