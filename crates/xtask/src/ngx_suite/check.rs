//! Compares what came back, and what was logged, with what a case expects.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::Value;

use super::{
    case::{Case, Expected, Grep, Pattern, Regex, Response},
    client::{Answer, Round},
    perl,
    scene::Scene,
};

/// Until a line that is expected must have been logged: the log phase comes after the answer.
const LOG: Duration = Duration::from_millis(800);
const POLL: Duration = Duration::from_millis(10);
/// Bytes of a text that a reason shows.
const SHOWN: usize = 200;

pub(crate) struct Check<'a> {
    pub(crate) case: &'a Case,
    pub(crate) scene: &'a Scene,
}

impl Check<'_> {
    /// What is wrong with the answers of one round.
    pub(crate) fn answers(&self, round: &Round) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        // Whether there is an answer at all does not matter then.
        if self.case.expected.ignore_response {
            return Ok(wrong);
        }
        if round.timed_out {
            wrong.push("the client timed out".to_owned());
        }
        for (at, expected) in self.case.expected.responses.iter().enumerate() {
            match round.answers.get(at) {
                Some(answer) => self.answer(expected, answer, &mut wrong)?,
                None => wrong.push(format!("no answer {at}")),
            }
        }
        Ok(wrong)
    }

    fn answer(&self, expected: &Response, answer: &Answer, wrong: &mut Vec<String>) -> Result<()> {
        let status = answer.status.map(|status| status.to_string()).unwrap_or_default();
        if let Some(wanted) = &expected.status
            && wanted.0 != status.as_bytes()
        {
            let wanted = String::from_utf8_lossy(&wanted.0);
            wrong.push(format!("status {status:?}, not {wanted:?}: {}", shown(&answer.body)));
        }
        if let Some(like) = &expected.status_like
            && !self.like(like, status.as_bytes())?
        {
            wrong.push(format!("status {status:?}"));
        }
        self.headers(expected, answer, wrong)?;
        self.body(expected, answer, wrong)
    }

    fn headers(&self, expected: &Response, answer: &Answer, wrong: &mut Vec<String>) -> Result<()> {
        for (name, value) in &expected.headers {
            let there = answer.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
            let found = answer.header(name);
            match value {
                None if there => wrong.push(format!("header {name} is there: {}", shown(&found))),
                Some(value) if self.with_port(self.scene.fill(value)) != found => {
                    wrong.push(format!("header {name} is {}, not {}", shown(&found), shown(&value.0)));
                }
                _ => {}
            }
        }
        for (name, like) in &expected.headers_like {
            let found = answer.header(name);
            let (Pattern::Literal(pattern) | Pattern::Regex(Regex { re: pattern, .. })) = like;
            let anchored = [b"^(?:", self.scene.fill(pattern).as_slice(), b")$"].concat();
            if !perl::compile(&anchored, "")?.is_match(&found)? {
                wrong.push(format!("header {name} is {}", shown(&found)));
            }
        }
        for (like, wanted) in [(&expected.raw_headers_like, true), (&expected.raw_headers_unlike, false)] {
            if let Some(regex) = like
                && self.matches(regex, "", &answer.head)? != wanted
            {
                wrong.push(format!("head is {}", shown(&answer.head)));
            }
        }
        Ok(())
    }

    fn body(&self, expected: &Response, answer: &Answer, wrong: &mut Vec<String>) -> Result<()> {
        if let Some(body) = &expected.body {
            let wanted = self.with_port(self.scene.fill(body));
            let same = wanted == answer.body
                || self.case.expected.body_json_sort && same_json(&wanted, &answer.body);
            if !same {
                wrong.push(difference(&answer.body, &wanted));
            }
        }
        for (like, wanted) in [(&expected.body_like, true), (&expected.body_unlike, false)] {
            if let Some(regex) = like
                && self.matches(regex, "s", &answer.body)? != wanted
            {
                let word = if wanted { "does not match" } else { "matches" };
                wrong.push(format!("body {} {word} {}", shown(&answer.body), shown(&regex.re.0)));
            }
        }
        Ok(())
    }

    /// What is wrong with the log from `mark` on. Waits for what has to come, not for what must not.
    pub(crate) fn log(&self, mark: u64, repetition: usize) -> Result<Vec<String>> {
        let deadline = Instant::now() + LOG;
        loop {
            let log = read_from(&self.scene.log(), mark);
            let wrong = self.missing(&log, repetition)?;
            if wrong.is_empty() || Instant::now() > deadline {
                let mut wrong = wrong;
                self.unwelcome(&log, &mut wrong)?;
                return Ok(wrong);
            }
            thread::sleep(POLL);
        }
    }

    fn missing(&self, log: &[u8], repetition: usize) -> Result<Vec<String>> {
        let Expected { error_log, grep_error_log, must_die, .. } = &self.case.expected;
        let mut wrong = Vec::new();
        if must_die.is_some() {
            return Ok(wrong);
        }
        for pattern in error_log {
            if self.line_like(pattern, log)?.is_none() {
                wrong.push(format!("log lacks {}", text_of(pattern)));
            }
        }
        if let Some(Grep { pattern, out }) = grep_error_log
            && let (Some(pattern), Some(out)) = (pattern.of(repetition), out.of(repetition))
        {
            let found = self.grep(pattern, log)?;
            let same = match out {
                Pattern::Literal(text) => self.scene.fill(text) == found,
                Pattern::Regex(regex) => self.matches(regex, "", &found)?,
            };
            if !same {
                wrong.push(format!("log says {}, not {}", shown(&found), text_of(out)));
            }
        }
        Ok(wrong)
    }

    fn unwelcome(&self, log: &[u8], wrong: &mut Vec<String>) -> Result<()> {
        if self.case.expected.must_die.is_some() {
            return Ok(());
        }
        for pattern in &self.case.expected.no_error_log {
            if let Some(line) = self.line_like(pattern, log)? {
                wrong.push(format!("log has {}: {}", text_of(pattern), shown(line)));
            }
        }
        Ok(())
    }

    fn line_like<'l>(&self, pattern: &Pattern, log: &'l [u8]) -> Result<Option<&'l [u8]>> {
        for line in log.split_inclusive(|&byte| byte == b'\n') {
            if self.like(pattern, line)? {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// The first match of every line that has one.
    fn grep(&self, pattern: &Pattern, log: &[u8]) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        for line in log.split(|&byte| byte == b'\n') {
            let hit = match pattern {
                Pattern::Literal(text) => {
                    let text = self.scene.fill(text);
                    contains(line, &text).then_some(text)
                }
                Pattern::Regex(regex) => {
                    let regex = perl::compile(&self.scene.fill(&regex.re), &regex.flags)?;
                    regex.find(line)?.map(|hit| hit.as_bytes().to_vec())
                }
            };
            if let Some(hit) = hit {
                found.extend(hit);
                found.push(b'\n');
            }
        }
        Ok(found)
    }

    fn like(&self, pattern: &Pattern, text: &[u8]) -> Result<bool> {
        match pattern {
            Pattern::Regex(regex) => self.matches(regex, "", text),
            Pattern::Literal(wanted) => Ok(contains(text, &self.scene.fill(wanted))),
        }
    }

    fn matches(&self, regex: &Regex, flags: &str, text: &[u8]) -> Result<bool> {
        let flags = format!("{}{flags}", regex.flags);
        Ok(perl::compile(&self.scene.fill(&regex.re), &flags)?.is_match(text)?)
    }

    /// Two more placeholders that stand in expectations only.
    fn with_port(&self, text: Vec<u8>) -> Vec<u8> {
        const MARK: &[u8] = b"$ServerPort";
        if !contains(&text, MARK) {
            return text;
        }
        let port = self.scene.port.to_string();
        let text = String::from_utf8_lossy(&text);
        text.replace("$ServerPortForClient", &port).replace("$ServerPort", &port).into_bytes()
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || super::scene::find(text, part).is_some()
}

fn same_json(left: &[u8], right: &[u8]) -> bool {
    let parse = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    matches!((parse(left), parse(right)), (Some(left), Some(right)) if left == right)
}

fn read_from(path: &Path, mark: u64) -> Vec<u8> {
    let mut log = fs::read(path).unwrap_or_default();
    log.drain(..log.len().min(mark as usize));
    log
}

/// The first line of the case's log that tells of an error: it often is the reason.
pub(crate) fn first_error(folder: &Path) -> Option<String> {
    let log = fs::read(folder.join("logs/error.log")).ok()?;
    let line = log.split(|&byte| byte == b'\n').find(|line| contains(line, b"[error]"))?;
    Some(shown(line.get("2026/05/01 12:00:00 ".len()..).unwrap_or_default()))
}

fn text_of(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Regex(regex) => format!("/{}/", String::from_utf8_lossy(&regex.re.0)),
        Pattern::Literal(text) => shown(&text.0),
    }
}

/// Where two bodies part, with a little of what is before.
fn difference(found: &[u8], wanted: &[u8]) -> String {
    const BEFORE: usize = 30;
    let same = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(BEFORE);
    format!("body differs at {same}: {}, not {}", shown(&found[from..]), shown(&wanted[from..]))
}

fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let dots = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(cut))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    fn case(expected: &Value) -> Case {
        serde_json::from_value(json!({
            "id": "s/t/a.t#1", "file": "t/a.t", "title": "", "repeat_each": 1, "workers": 1, "log_level": "warn",
            "timeout": 3, "main_config": {}, "server": {}, "locations": [], "requests": [], "expected": expected,
        }))
        .unwrap()
    }

    fn answer() -> Answer {
        Answer {
            status: Some(200),
            headers: vec![("a".into(), b"1".to_vec()), ("a".into(), b"2".to_vec())],
            body: b"hello\n".to_vec(),
            head: b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\n".to_vec(),
        }
    }

    fn wrong(response: &Value) -> usize {
        let case = case(&json!({ "responses": [response] }));
        let scene = Scene::new(PathBuf::from("/scratch"), Path::new("/checkout")).unwrap();
        let round = Round { answers: vec![answer()], timed_out: false };
        Check { case: &case, scene: &scene }.answers(&round).unwrap().len()
    }

    #[test]
    fn an_answer_as_expected_is_right() {
        let body_like = json!({ "re": "^hel+o$", "flags": "" });
        assert_eq!(
            wrong(&json!({ "status": 200, "body": "hello\n", "headers": { "A": "1, 2", "B": null } })),
            0
        );
        assert_eq!(wrong(&json!({ "status": "200", "body_like": body_like })), 0);
    }

    #[test]
    fn each_part_that_is_not_as_expected_is_named() {
        assert_eq!(wrong(&json!({ "status": 201 })), 1);
        assert_eq!(wrong(&json!({ "body": "hello" })), 1);
        assert_eq!(wrong(&json!({ "headers": { "A": null } })), 1);
        assert_eq!(wrong(&json!({ "headers": { "A": "1" } })), 1);
        assert_eq!(wrong(&json!({ "body_unlike": { "re": "hello" } })), 1);
        assert_eq!(wrong(&json!({ "raw_headers_like": { "re": "B: 1" } })), 1);
    }

    fn log_of(expected: &Value, log: &[u8]) -> (usize, usize) {
        let case = case(expected);
        let scene = Scene::new(PathBuf::from("/scratch"), Path::new("/checkout")).unwrap();
        let check = Check { case: &case, scene: &scene };
        let mut unwelcome = Vec::new();
        check.unwelcome(log, &mut unwelcome).unwrap();
        (check.missing(log, 0).unwrap().len(), unwelcome.len())
    }

    #[test]
    fn the_log_has_what_it_should_and_nothing_that_it_should_not() {
        let log = b"x [warn] a: 1\nx [error] b\n";
        assert_eq!(log_of(&json!({ "error_log": ["[warn]", { "re": "a: \\d$" }] }), log), (0, 0));
        assert_eq!(log_of(&json!({ "error_log": ["[crit]"], "no_error_log": ["[error]"] }), log), (1, 1));
    }

    #[test]
    fn grep_takes_one_match_of_each_line() {
        let grep = |out: &str| json!({ "grep_error_log": { "pattern": { "re": "\\d" }, "out": [out] } });
        assert_eq!(log_of(&grep("1\n3\n"), b"1 2\nx\n3\n"), (0, 0));
        assert_eq!(log_of(&grep("1\n"), b"1 2\nx\n3\n"), (1, 0));
    }

    #[test]
    fn a_difference_is_shown_from_a_little_before_it() {
        let found = difference(b"same until x", b"same until y");
        assert!(found.starts_with("body differs at 11"), "{found}");
    }
}
