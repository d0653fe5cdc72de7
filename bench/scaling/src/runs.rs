//! All runs, a few at once, with those of the baselines kept in a file for the next time.

use std::{
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tidegate_core::policy::{Headroom, Policy};
use tidegate_sim::{Conditions, Contender, Report, live, report::OBJECTIVE};

use crate::{
    Args,
    demands::{Kind, Known},
};

/// More instances than any of the demands can use.
const MOST: u32 = 1_000;
/// How long requests may wait where they come from silence, in seconds.
const PATIENCE: u32 = 10;

/// Runs the default policy on everything, and the baselines where no file has them.
pub(crate) fn all(args: &Args, demands: &[Known]) -> Result<Report> {
    let kept = kept(args)?;
    let jobs = jobs(args, demands, &kept);
    let (next, report) = (AtomicUsize::new(0), Mutex::new(kept));
    thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| {
                while let Some((known, under, contender)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut own = Report::default();
                    own.add(known.name, &known.demand, *under, contender);
                    report.lock().unwrap_or_else(PoisonError::into_inner).runs.extend(own.runs);
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.runs.sort_by(|one, other| {
        let key = |run: &tidegate_sim::Run| (run.trace.clone(), run.start_up_seconds, run.buffer_seconds);
        key(one).cmp(&key(other))
    });
    if let Some(path) = &args.baselines {
        let runs = report.runs.iter().filter(|run| run.policy != "default").cloned().collect();
        fs::write(path, serde_json::to_string(&Report { runs })?)
            .with_context(|| path.display().to_string())?;
    }
    Ok(report)
}

fn kept(args: &Args) -> Result<Report> {
    match &args.baselines {
        Some(path) if path.is_file() => {
            let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            serde_json::from_str(&text).with_context(|| path.display().to_string())
        }
        _ => Ok(Report::default()),
    }
}

fn jobs<'a>(args: &Args, demands: &'a [Known], kept: &Report) -> Vec<(&'a Known, Conditions, Contender)> {
    let mut jobs = Vec::new();
    for known in demands {
        for under in conditions(args, known) {
            let wait = Duration::from_secs(under.buffer.into());
            let policy = Box::new(Policy::keeping(1, MOST, Headroom { overload: OBJECTIVE, wait }));
            if !args.baselines_only {
                let (name, knows) = ("default".to_owned(), live::Known::default());
                jobs.push((known, under, Contender::Policy { name, policy, known: knows }));
            }
            for (name, baseline) in [("hpa", Contender::Hpa), ("loop", Contender::Loop)] {
                if kept.cheapest(known.name, name, under, 1.0).is_none() {
                    jobs.push((known, under, baseline));
                }
            }
        }
    }
    jobs
}

fn conditions(args: &Args, known: &Known) -> impl Iterator<Item = Conditions> {
    let patient = (known.kind == Kind::Silent).then_some(PATIENCE);
    args.start_up.iter().flat_map(move |&start_up| {
        args.buffer.iter().copied().chain(patient).map(move |buffer| Conditions { start_up, buffer })
    })
}
