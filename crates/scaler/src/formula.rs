//! The `formula` trigger: a count that is calculated.
//!
//! It sees metrics, the fleet, and what the other triggers recommend (formulas not: they are asked
//! last). A name without a value takes its default; without one the formula cannot see.

use tidegate_core::policy::{Formula, Trigger, Variable};

use crate::{
    opinion::{Opinion, Wanted},
    sight::Sight,
    target::{ceil, needs},
    words::{Words, number},
};

/// Counts from here on are not believed.
const LARGEST: f64 = 1e6;

pub(crate) fn name(formula: &Formula) -> String {
    format!("formula {}", formula.expression)
}

/// `others` are the triggers of the policy with their opinions, as far as they have been asked.
pub(crate) fn opinion(
    formula: &Formula,
    sight: &Sight<'_>,
    others: &[(&Trigger, Option<Opinion>)],
    words: Words,
) -> Opinion {
    let known = |variable: &Variable| match variable {
        Variable::Signal(signal) => sight.metrics.read(signal),
        Variable::Recommended(kind) => recommended(kind, others),
        Variable::Ready => Some(f64::from(sight.instances.ready)),
        Variable::Starting => Some(f64::from(sight.instances.starting)),
        Variable::Draining => Some(f64::from(sight.instances.draining)),
        Variable::Failed => Some(f64::from(sight.instances.failed)),
        Variable::Desired => Some(f64::from(sight.desired)),
        Variable::Min => Some(f64::from(sight.bounds.0)),
        Variable::Max => Some(f64::from(sight.bounds.1)),
        Variable::StartUp => sight.start_up.map(|time| time.as_secs_f64()),
        Variable::Work => sight.work,
    };
    match formula.value(known) {
        Some(value) if value < LARGEST => Opinion {
            wanted: Wanted::Count(ceil(value.max(0.0))),
            because: words.say(|| {
                let inputs = formula.variables.iter().map(|(name, variable)| {
                    let value = known(variable).or_else(|| formula.default.get(name).copied());
                    format!("{name} {}", value.map_or_else(|| "unknown".to_owned(), number))
                });
                let inputs = inputs.collect::<Vec<_>>().join(", ");
                let with = if inputs.is_empty() { String::new() } else { format!(" with {inputs}") };
                format!("{}{with}", needs(value))
            }),
        },
        Some(value) => Opinion::missing(words, || format!("{} cannot be meant", number(value))),
        None => Opinion::missing(words, || match formula.missing(known).as_slice() {
            [] => "the result is not a number".to_owned(),
            names => format!("{} not known", is_are(names)),
        }),
    }
}

/// The largest count that triggers of this kind ask for.
fn recommended(kind: &str, others: &[(&Trigger, Option<Opinion>)]) -> Option<f64> {
    let counts =
        others.iter().filter(|(trigger, _)| trigger.kind() == kind).filter_map(|(_, opinion)| match opinion
            .as_ref()?
            .wanted
        {
            Wanted::Count(count) | Wanted::Blind(count) => Some(f64::from(count)),
            Wanted::Nothing | Wanted::Unknown => None,
        });
    counts.reduce(f64::max)
}

fn is_are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}
