//! Programs that fleets start: whether they are there.
//!
//! A warning, not an error: they may be put in their place later, or be there where the gateway runs alone.

use crate::{
    decode::{Field, List},
    leaf::text::Text,
    raw,
    report::{Report, quote},
};

/// Says why a program cannot be run, as it is written in a command; `None` where it can.
pub(crate) type WhyNot<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(crate) fn warn(raw: &raw::File, why_not: WhyNot<'_>, report: &mut Report<'_>) {
    let fleets = raw.fleets.value().into_iter().flat_map(|fleets| &fleets.0);
    for run in fleets.filter_map(|entry| entry.value.as_ref()?.run.value()) {
        look_at(&run.command, why_not, report);
        if let Some(exec) = run.exec.value() {
            for command in [&exec.start, &exec.stop, &exec.list] {
                look_at(command, why_not, report);
            }
        }
    }
}

fn look_at(command: &Field<List<Text>>, why_not: WhyNot<'_>, report: &mut Report<'_>) {
    let Some(program) = command.value().and_then(|command| command.0.first()) else { return };
    let Some(name) = program.value.as_ref().map(|name| &*name.0) else { return };
    if let Some(why) = why_not(name) {
        let help =
            "one with a slash is looked for from the folder that Tidegate is started in, others in `PATH`";
        report.warning(program.place, format!("{} cannot be run: {why}", quote(name)), help);
    }
}
