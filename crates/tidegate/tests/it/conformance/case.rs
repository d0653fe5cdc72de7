//! Cases as they stand in files of Lua.
//!
//! A comment with a mark begins a case: `--# FUNCTION...` one that shows what they do, `--! FUNCTION...` one that shows an error,
//! which, if it is raised, is what the answer says; `--&` goes on with more functions. `--~ FUNCTION... : REASON` says of a function that it has none.
//! What follows is the code, with these between its lines:
//!
//! - `--@ NAME VALUE`: how the case is played. `phase` (`content` unless told), `timer` (the code runs in one, and the answer
//!   tells what it raised or returned), `request METHOD TARGET`, `header NAME: VALUE`, `body TEXT`, `route JSON` (more keys of the route), `tls`
//! - `--> TEXT`: a line of the body of the answer
//! - `--= NUMBER`: the status of the answer, 200 unless told; `--= NAME: VALUE`: a header of it
//! - `--log TEXT`: a part of a line of the log

use std::{fs, path::Path};

use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    Error,
}

#[derive(Debug)]
pub(super) struct Case {
    /// File and line.
    pub(super) place: String,
    pub(super) kind: Kind,
    pub(super) functions: Vec<String>,
    pub(super) code: String,
    pub(super) phase: String,
    pub(super) in_timer: bool,
    pub(super) needs_tls: bool,
    pub(super) method: String,
    /// What follows the path of the case's route.
    pub(super) target: String,
    pub(super) request_headers: Vec<(String, String)>,
    pub(super) request_body: String,
    pub(super) route: Map<String, Value>,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) log: Vec<String>,
}

impl Case {
    fn new(place: String, kind: Kind, names: &str) -> Self {
        Self {
            place,
            kind,
            functions: names.split_whitespace().map(str::to_owned).collect(),
            code: String::new(),
            phase: "content".into(),
            in_timer: false,
            needs_tls: false,
            method: "GET".into(),
            target: String::new(),
            request_headers: Vec::new(),
            request_body: String::new(),
            route: Map::new(),
            status: 200,
            headers: Vec::new(),
            body: None,
            log: Vec::new(),
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(names) = line.strip_prefix("--& ") {
            self.functions.extend(names.split_whitespace().map(str::to_owned));
        } else if let Some(setting) = line.strip_prefix("--@ ") {
            let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
            self.setting(name, value);
        } else if let Some(text) = line.strip_prefix("-->") {
            let text = text.strip_prefix(' ').unwrap_or(text);
            self.body =
                Some(self.body.take().map_or_else(|| text.to_owned(), |body| format!("{body}\n{text}")));
        } else if let Some(wanted) = line.strip_prefix("--= ") {
            match wanted.parse() {
                Ok(status) => self.status = status,
                Err(_) => self.headers.push(field(wanted)),
            }
        } else if let Some(text) = line.strip_prefix("--log ") {
            self.log.push(text.to_owned());
        } else {
            self.code += line;
            self.code.push('\n');
        }
    }

    fn setting(&mut self, name: &str, value: &str) {
        match name {
            "phase" => value.clone_into(&mut self.phase),
            "timer" => self.in_timer = true,
            "tls" => self.needs_tls = true,
            "request" => {
                let (method, target) = value.split_once(' ').unwrap_or((value, ""));
                (self.method, self.target) = (method.to_owned(), target.to_owned());
            }
            "header" => self.request_headers.push(field(value)),
            "body" => value.clone_into(&mut self.request_body),
            "route" => {
                self.route =
                    serde_json::from_str(value).unwrap_or_else(|error| panic!("{}: {error}", self.place));
            }
            _ => panic!("{}: no setting is called {name}", self.place),
        }
    }
}

fn field(text: &str) -> (String, String) {
    let (name, value) = text.split_once(':').unwrap_or_else(|| panic!("no header: {text}"));
    (name.to_owned(), value.trim().to_owned())
}

#[derive(Debug)]
pub(super) struct Suite {
    pub(super) cases: Vec<Case>,
    /// Functions that have no errors, and why not.
    pub(super) infallible: Vec<(String, String)>,
}

impl Suite {
    pub(super) fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut suite = Self { cases: Vec::new(), infallible: Vec::new() };
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            suite.file(&name, &fs::read_to_string(&file).unwrap());
        }
        suite
    }

    fn file(&mut self, name: &str, text: &str) {
        let mut case: Option<Case> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let place = || format!("{name}:{number}");
            let next = if let Some(names) = line.strip_prefix("--# ") {
                Some(Case::new(place(), Kind::Value, names))
            } else if let Some(names) = line.strip_prefix("--! ") {
                Some(Case::new(place(), Kind::Error, names))
            } else if let Some(text) = line.strip_prefix("--~ ") {
                let (names, why) =
                    text.rsplit_once(" : ").unwrap_or_else(|| panic!("{}: no reason", place()));
                self.infallible
                    .extend(names.split_whitespace().map(|name| (name.to_owned(), why.to_owned())));
                continue;
            } else {
                if let Some(case) = &mut case {
                    case.line(line);
                }
                continue;
            };
            self.cases.extend(std::mem::replace(&mut case, next));
        }
        self.cases.extend(case);
        for case in &self.cases {
            let wants =
                case.body.is_some() || case.status != 200 || !case.headers.is_empty() || !case.log.is_empty();
            assert!(wants, "{}: a case that wants nothing", case.place);
        }
    }
}
