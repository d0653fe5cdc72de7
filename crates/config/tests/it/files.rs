//! Scripts: where they are looked for, what they are called, which line is which.

use std::{cell::RefCell, io, path::PathBuf};

use tidegate_config::parse;
use tidegate_core::snapshot::{LogOutput, Script};

use crate::{LISTENERS, valid};

fn content(text: &str) -> Script {
    valid(text).routes[0].hooks.content.clone().unwrap()
}

#[test]
fn lua_knows_the_lines_of_the_configuration() {
    for (text, line) in [
        (format!("{LISTENERS}routes:\n- lua:\n    content: error('x')\n"), 4),
        (format!("{LISTENERS}routes:\n- lua:\n    content: |\n      error('x')\n"), 5),
        (format!("{LISTENERS}routes:\n- lua:\n    content: |\n\n\n      error('x')\n"), 7),
        (
            format!(
                "{LISTENERS}routes:\n- lua:\n    content:\n\n      |-\n      local a\n      error('x')\n"
            ),
            8,
        ),
        (format!("{LISTENERS}routes: [{{ lua: {{ content: \"\n  error('x')\" }} }}]\n"), 2),
    ] {
        let script = content(&text);
        assert_eq!(&*script.name, "conf/tidegate.yaml");
        let found = script.source.lines().position(|line| line.contains("error")).unwrap() + 1;
        assert_eq!(found, line, "{text}\n{:?}", script.source);
    }
}

#[test]
fn one_line_that_ends_in_lua_is_a_file() {
    let route = |code: &str| content(&format!("{LISTENERS}routes: [{{ lua: {{ content: {code} }} }}]"));
    assert_eq!(&*route("apps/a.lua").name, "conf/apps/a.lua");
    assert_eq!(&*route("/etc/a.lua").name, "/etc/a.lua");
    assert_eq!(&*route("'apps/a.lua\n\n  -- b'").name, "conf/tidegate.yaml");
    assert_eq!(&*route("a.lua()").name, "conf/tidegate.yaml");
}

#[test]
fn a_file_is_read_once_from_beside_the_configuration() {
    let seen = RefCell::new(Vec::new());
    let read = |path: &std::path::Path| {
        seen.borrow_mut().push(path.to_owned());
        Ok(String::new())
    };
    let text = format!("{LISTENERS}routes: [{{ lua: {{ content: a.lua, access: a.lua, log: /b.lua }} }}]");
    for (file, expected) in
        [("tidegate.yaml", "a.lua"), ("/etc/t/t.yaml", "/etc/t/a.lua"), ("../t.yaml", "../a.lua")]
    {
        assert!(parse(file, &text, &read).0.is_some());
        assert_eq!(seen.take(), [PathBuf::from(expected), PathBuf::from("/b.lua")]);
    }
}

#[test]
fn an_unreadable_file_is_told_at_each_place_that_uses_it() {
    let read = |_: &std::path::Path| Err(io::Error::new(io::ErrorKind::PermissionDenied, "denied"));
    let text = format!("{LISTENERS}routes: [{{ lua: {{ content: a.lua, log: a.lua }} }}]");
    let (_, diagnostics) = parse("t.yaml", &text, &read);
    let told: Vec<_> = diagnostics.iter().map(|d| (d.column, d.message.as_str())).collect();
    assert_eq!(told, [(28, "cannot read `a.lua`: denied"), (40, "cannot read `a.lua`: denied")]);
}

#[test]
fn a_log_file_is_beside_the_configuration() {
    let log =
        valid(&format!("{LISTENERS}accessLog: {{ file: logs/access.json, sample: 1% }}")).access_log.unwrap();
    assert_eq!((log.sample, log.output), (0.01, LogOutput::File("conf/logs/access.json".into())));
}
