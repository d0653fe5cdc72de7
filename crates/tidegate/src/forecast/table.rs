//! The figures as a person reads them: a table for each file and horizon.

use std::fmt::Write as _;

use super::report::{Ahead, CHOICE, Judged, Recorded, Repeats, Report};

/// Columns after the name of the model, and their widths.
const COLUMNS: [(&str, usize); 8] = [
    ("MASE", 8),
    ("loss 50%", 11),
    ("90%", 11),
    ("95%", 11),
    ("coverage", 10),
    ("forecasts", 11),
    ("choice", 9),
    ("believed", 10),
];
const NAME: usize = 32;

const LEGEND: &str = "\
MASE: error of the median over that of the value one day ago; loss: mean pinball loss of the quantile, in requests/s
coverage: truths within the interval of 90%; choice: loss of the rolling choice against this model, over the moments that both
spoke of; believed: how often the choice believed this model most
augurs: fitted anew for each of its forecasts, on at most 4,096 values before it; it is no part of the choice
";

/// All tables and what their columns mean.
pub(super) fn tell(report: &Report) -> String {
    let mut text = String::new();
    for file in &report.files {
        head(&mut text, file);
        // Horizons that are as many steps are one forecast.
        for horizons in file.horizons.chunk_by(|one, other| one.steps == other.steps) {
            table(&mut text, horizons);
        }
    }
    text + LEGEND
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{}", line.trim_end()).expect("a string takes everything");
}

fn head(text: &mut String, file: &Recorded) {
    let length = span(file.steps as f64 * file.step_seconds);
    let about = format!("{}: {length} in steps of {}", file.file, span(file.step_seconds));
    let missing = (file.missing > 0).then(|| {
        let longest = span(file.longest_gap_seconds);
        format!(
            "{} missing in {}, the longest {longest}",
            times(file.missing, "step"),
            times(file.gaps, "gap")
        )
    });
    let outliers = (file.outliers > 0).then(|| times(file.outliers, "outlier"));
    let absurd = (file.absurd > 0).then(|| {
        format!(
            "{} beyond all demand, taken for {}",
            times(file.absurd as u64, "rate"),
            if file.absurd == 1 { "a gap" } else { "gaps" }
        )
    });
    let about =
        [about].into_iter().chain(missing).chain(absurd).chain(outliers).collect::<Vec<_>>().join("; ");
    line(text, &about);
    line(text, &seasons(&file.seasons));
    line(text, &format!("forecasts count after {}", span(file.warm_up_seconds)));
    text.push('\n');
}

/// `repeats itself after 1d (correlation 0.62), not after 1h`
fn seasons(seasons: &[Repeats]) -> String {
    let of = |found: bool| seasons.iter().filter(move |season| season.found == found);
    let there: Vec<_> =
        of(true).map(|one| format!("{} (correlation {:.2})", span(one.seconds), one.correlation)).collect();
    let absent: Vec<_> = of(false).map(|one| span(one.seconds)).collect();
    match (there.is_empty(), absent.is_empty()) {
        (true, true) => "no season was looked for".to_owned(),
        (true, false) => format!("does not repeat itself, as far as was seen, after {}", absent.join(" or ")),
        (false, true) => format!("repeats itself after {}", there.join(" and ")),
        (false, false) => {
            format!("repeats itself after {}, not after {}", there.join(" and "), absent.join(" or "))
        }
    }
}

fn table(text: &mut String, horizons: &[Ahead]) {
    let Some(horizon) = horizons.first() else { return };
    let asked: Vec<_> = horizons.iter().map(|horizon| span(horizon.horizon_seconds)).collect();
    let next = span(horizon.forecast_seconds);
    let short = horizon.horizon_seconds < horizon.forecast_seconds;
    let about =
        if short { format!(": shorter than a step, so the next {next} are forecast") } else { String::new() };
    let about = format!("  {} ahead{about}", asked.join(", "));
    line(text, &about);
    let titles = COLUMNS.map(|(title, _)| title.to_owned());
    row(text, "", &titles);
    for model in &horizon.models {
        row(text, &model.model, &cells(model));
    }
    if horizon.models.is_empty() {
        line(
            text,
            &format!(
                "    nothing was forecast: how wrong a forecast is is known after some {} of values",
                span(5.0 * horizon.forecast_seconds)
            ),
        );
    }
    if let Some(worse) = horizon.worse_than_best {
        let than = match percent(worse.abs()) {
            same if same == "0.0%" => "as good as".to_owned(),
            much if worse > 0.0 => format!("{much} worse than"),
            much => format!("{much} better than"),
        };
        line(text, &format!("    the choice is {than} the best single model"));
    }
    text.push('\n');
}

fn row(text: &mut String, name: &str, cells: &[String; COLUMNS.len()]) {
    let mut cut = format!("    {name:<NAME$}");
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        write!(cut, "{cell:>width$}").expect("a string takes everything");
    }
    line(text, &cut);
}

fn cells(model: &Judged) -> [String; COLUMNS.len()] {
    let pinball = &model.pinball;
    let signed = |ratio: f64| format!("{:+.1}%", (ratio - 1.0) * 100.0);
    [
        model.mase.map_or_else(|| "-".to_owned(), |mase| format!("{mase:.3}")),
        number(pinball.p50),
        number(pinball.p90),
        number(pinball.p95),
        percent(model.coverage90),
        model.forecasts.to_string(),
        model.choice_loss.filter(|_| model.model != CHOICE).map_or_else(String::new, signed),
        model.believed.map_or_else(String::new, percent),
    ]
}

/// `1 gap`, `3 gaps`.
fn times(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// Four digits that matter.
pub(super) fn number(value: f64) -> String {
    let digits = if value > 0.0 { (3.0 - value.log10().floor()).clamp(0.0, 6.0) as usize } else { 0 };
    format!("{value:.digits$}")
}

/// `1m`, `1h30m`, `14d`: the two largest units.
pub(super) fn span(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{seconds}s");
    }
    let mut rest = seconds.round() as u64;
    let mut parts = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= length && parts.len() < 2 {
            parts.push(format!("{}{unit}", rest / length));
        }
        rest %= length;
    }
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers_are_short() {
        let spans = [0.5, 1.0, 60.0, 90.0, 5_400.0, 1_209_600.0, 90_061.0].map(span);
        assert_eq!(spans, ["0.5s", "1s", "1m", "1m30s", "1h30m", "14d", "1d1h"]);
        assert_eq!([0.0, 0.01234, 3.8349, 1_234.5].map(number), ["0", "0.01234", "3.835", "1234"]);
    }
}
