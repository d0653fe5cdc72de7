//! OpenResty's API, function by function: what each does in a running gateway, and what its errors are.
//!
//! `tests/conformance/*.lua` has the cases, `lua/tests/surface.txt` the functions. A function without a case fails these tests, and so
//! does one that has errors of which no case shows one, a case that does not call what it is about (its gateway
//! records what is called), and a function of the gateway that is not on the list.

mod case;
mod scene;
mod surface;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use self::{
    case::{Case, Kind, Suite},
    scene::Scene,
};

#[test]
fn every_function_has_a_case_and_one_of_its_errors() {
    let suite = Suite::read();
    let known: BTreeSet<String> = surface::functions().map(|function| function.name()).collect();
    let with = |kind: Kind| {
        let cases = suite.cases.iter().filter(move |case| case.kind == kind);
        cases.flat_map(|case| case.functions.iter().map(String::as_str)).collect::<BTreeSet<_>>()
    };
    let (values, errors) = (with(Kind::Value), with(Kind::Error));
    let infallible: BTreeMap<&str, &str> =
        suite.infallible.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
    let mut complaints = String::new();
    for name in &known {
        if !values.contains(name.as_str()) {
            let _ = writeln!(complaints, "{name}: no case shows what it does");
        }
        match (errors.contains(name.as_str()), infallible.get(name.as_str())) {
            (true, Some(_)) => {
                let _ = writeln!(complaints, "{name}: is said to have no errors, and a case shows one");
            }
            (false, None) => {
                let _ = writeln!(complaints, "{name}: no case shows an error of it, or says why it has none");
            }
            (false, Some(why)) if why.len() < 10 => {
                let _ = writeln!(complaints, "{name}: has no errors; say why not");
            }
            _ => {}
        }
    }
    let fields = surface::FIELDS.iter().copied();
    for name in fields.clone().filter(|name| !values.contains(name) || !errors.contains(name)) {
        let _ = writeln!(complaints, "{name}: needs a case and one of its errors");
    }
    let fields: BTreeSet<_> = fields.collect();
    let named = values.iter().chain(&errors).chain(infallible.keys());
    for name in named.filter(|name| !known.contains(**name) && !fields.contains(**name)) {
        let _ = writeln!(complaints, "{name}: has a case and is not on the list");
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn nothing_is_there_that_is_not_on_the_list() {
    let suite = Suite { cases: Vec::new(), infallible: Vec::new() };
    let scene = Scene::start(&suite);
    let found = scene.get("/surface").text().to_owned();
    let listed: BTreeSet<String> = surface::functions().map(|function| function.name()).collect();
    let unlisted: Vec<&str> = found.lines().filter(|name| !listed.contains(*name)).collect();
    assert!(found.lines().count() > 150, "{found}");
    assert!(unlisted.is_empty(), "neither listed nor tested: {unlisted:?}");
}

#[test]
fn every_case_holds_and_calls_what_it_is_about() {
    let suite = Suite::read();
    let scene = Scene::start(&suite);
    let recorded: BTreeSet<String> =
        surface::functions().filter(surface::Function::is_recorded).map(|function| function.name()).collect();
    let mut complaints = String::new();
    for (number, case) in suite.cases.iter().enumerate() {
        if let Err(complaint) = check(&scene, number, case, &recorded) {
            let _ = writeln!(complaints, "{}\n{complaint}\n", case.place);
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

fn check(scene: &Scene, number: usize, case: &Case, recorded: &BTreeSet<String>) -> Result<(), String> {
    if case.needs_tls && scene.tls.is_none() {
        return Ok(());
    }
    let answer = scene.play(number, case)?;
    let mut complaint = String::new();
    let text = String::from_utf8_lossy(&answer.body).trim_end_matches('\n').to_owned();
    if let Some(body) = case.body.as_ref().filter(|body| **body != text) {
        let _ = writeln!(complaint, "wanted: {body:?}\ngot:    {text:?}");
    }
    if answer.status != case.status {
        let _ = writeln!(complaint, "wanted status {}, got {} with {text:?}", case.status, answer.status);
    }
    for (name, value) in &case.headers {
        let got = answer.header(name).unwrap_or_default();
        if got != value {
            let _ = writeln!(complaint, "wanted {name}: {value:?}, got {got:?}");
        }
    }
    for line in case.log.iter().filter(|line| !scene.logs(line)) {
        let _ = writeln!(complaint, "not in the log: {line:?}");
    }
    let called = scene.called();
    for name in &case.functions {
        let is_called = if recorded.contains(name) {
            called.contains(name)
        } else {
            case.code.contains(name.rsplit(['.', ':']).next().unwrap_or(name))
        };
        if !is_called {
            let _ = writeln!(complaint, "{name} was not called");
        }
    }
    if complaint.is_empty() { Ok(()) } else { Err(complaint) }
}
