//! Compiles regular expressions within a budget that all of a file share.
//!
//! A few bytes of pattern can need megabytes and seconds to compile. So each is first tried with little memory,
//! then with more; what was allowed is charged, also when it was not enough.

use regex::{Regex, RegexBuilder};

use crate::report::{Place, Report, quote};

/// What one expression may need, in bytes: the steps in which it is tried.
const STEPS: [usize; 4] = [64 << 10, 256 << 10, 1 << 20, 4 << 20];

/// What all may need together, in bytes.
const BUDGET: usize = 64 << 20;

#[derive(Debug, Default)]
pub(crate) struct Regexes {
    charged: usize,
}

impl Regexes {
    pub(crate) fn compile(&mut self, pattern: &str, place: Place, report: &mut Report<'_>) -> Option<Regex> {
        for step in STEPS {
            self.charged += step;
            if self.charged > BUDGET {
                report.error(
                    place,
                    "too many large regular expressions",
                    "replace some by paths or prefixes",
                );
                return None;
            }
            match RegexBuilder::new(pattern).size_limit(step).build() {
                Ok(regex) => return Some(regex),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => {
                    let message = format!("bad regular expression {}: {}", quote(pattern), reason(&error));
                    report.error(
                        place,
                        message,
                        "the syntax is that of the Rust crate `regex`, close to RE2 and Go",
                    );
                    return None;
                }
            }
        }
        let message = format!("the regular expression {} needs too much memory", quote(pattern));
        report.error(place, message, "use smaller repetitions, and `[0-9A-Za-z_]` instead of `\\w`");
        None
    }
}

/// The last line of the error, without the drawing above it.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles `patterns` after `charged` bytes were charged; what was reported.
    fn compile(charged: usize, patterns: &[&str]) -> Vec<String> {
        let mut report = Report::new("f", "");
        let mut regexes = Regexes { charged };
        for pattern in patterns {
            regexes.compile(pattern, Place::START, &mut report);
        }
        report.finish().into_iter().map(|d| d.message).collect()
    }

    #[test]
    fn ordinary_expressions_are_charged_little() {
        let pattern = r"^/users/[0-9]+/(orders|bills)/[A-Za-z0-9_-]{1,64}$";
        assert_eq!(compile(BUDGET - 2 * STEPS[0], &[pattern, pattern]), [""; 0]);
        assert_eq!(compile(0, &[r"^/[\w-]{1,64}$"]), [""; 0]);
    }

    #[test]
    fn a_failure_is_charged_as_well() {
        let bomb = "(a{1000}){1000}";
        let all: usize = STEPS.iter().sum();
        let told = compile(BUDGET - all, &[bomb, "a"]);
        assert_eq!(
            told,
            [
                "the regular expression `(a{1000}){1000}` needs too much memory",
                "too many large regular expressions",
            ]
        );
    }
}
