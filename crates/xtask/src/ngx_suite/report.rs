//! What came of the cases, for people and for programs.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};

/// One case and why it failed; empty: it passed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) wrong: Vec<String>,
}

impl Outcome {
    fn passed(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// All outcomes, in the order of the cases.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) Vec<Outcome>);

impl Report {
    pub(crate) fn passed(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.passed()).count()
    }

    /// Whether at least `percent` of the cases passed.
    pub(crate) fn reaches(&self, percent: f64) -> bool {
        self.passed() as f64 * 100.0 >= percent * self.0.len() as f64
    }

    pub(crate) fn json(&self) -> Value {
        let failed: Vec<_> =
            self.0.iter().filter(|outcome| !outcome.passed()).map(|outcome| &outcome.id).collect();
        json!({ "passed": self.passed(), "total": self.0.len(), "failed": failed })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut files: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
        for outcome in &self.0 {
            files.entry(&outcome.file).or_default().push(outcome);
        }
        for (file, outcomes) in files {
            let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed()).collect();
            if failed.is_empty() {
                continue;
            }
            writeln!(f, "{file}: {} of {} failed", failed.len(), outcomes.len())?;
            for Outcome { id, title, wrong, .. } in failed {
                let number = id.rsplit('#').next().unwrap_or_default();
                writeln!(f, "  #{number} {title}\n      {}", wrong.first().map_or("", String::as_str))?;
            }
        }
        let (passed, total) = (self.passed(), self.0.len());
        let share = passed as f64 * 100.0 / (total.max(1)) as f64;
        write!(f, "{passed} of {total} passed ({share:.1} %)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(number: u32, wrong: &[&str]) -> Outcome {
        let id = format!("s/t/a.t#{number}");
        let wrong = wrong.iter().map(ToString::to_string).collect();
        Outcome { id, file: "t/a.t".into(), title: "TEST".into(), wrong }
    }

    #[test]
    fn people_get_the_first_reason_of_each_failure() {
        let report = Report(vec![outcome(1, &[]), outcome(2, &["status 500", "more"])]);
        assert_eq!(
            report.to_string(),
            "t/a.t: 1 of 2 failed\n  #2 TEST\n      status 500\n1 of 2 passed (50.0 %)"
        );
    }

    #[test]
    fn programs_get_numbers_and_ids() {
        let report = Report(vec![outcome(1, &[]), outcome(2, &["x"])]);
        assert_eq!(report.json(), json!({ "passed": 1, "total": 2, "failed": ["s/t/a.t#2"] }));
        assert!(report.reaches(50.0) && !report.reaches(50.1));
    }
}
