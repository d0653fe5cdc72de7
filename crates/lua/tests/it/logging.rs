//! `ngx.log`, `print`.

use tidegate_lua::{Level, Phase};

use crate::support::{Host, Request, script};

fn logged(source: &str) -> Vec<(Level, String)> {
    let host = Host::new();
    host.run(Phase::Access, source, &mut Request::get("/")).unwrap();
    host.take_log()
}

#[test]
fn a_line_has_the_place_it_comes_from() {
    assert_eq!(logged("\nngx.log(ngx.ERR, 'a', 1)"), [(Level::Error, "[lua] test.lua:2: a1".into())]);
    assert_eq!(
        logged("local function check() ngx.log(ngx.WARN, 'x') end check()"),
        [(Level::Warn, "[lua] test.lua:1: check(): x".into())]
    );
    assert_eq!(logged("print('x', nil, true)"), [(Level::Notice, "[lua] test.lua:1: xniltrue".into())]);
}

#[test]
fn only_the_last_part_of_a_path_is_shown() {
    let host = Host::new();
    let handler = host.vm.load(&script("/etc/tidegate/hooks/auth.lua", "ngx.log(ngx.INFO, 'x')")).unwrap();
    host.vm.start(&handler, Phase::Log, &mut Request::get("/"));
    assert_eq!(host.take_log(), [(Level::Info, "[lua] auth.lua:1: x".into())]);
}

#[test]
fn all_levels_have_their_constants() {
    let names = ["STDERR", "EMERG", "ALERT", "CRIT", "ERR", "WARN", "NOTICE", "INFO", "DEBUG"];
    let levels: Vec<_> = names
        .iter()
        .flat_map(|name| logged(&format!("ngx.log(ngx.{name}, 'x')")))
        .map(|(level, _)| level as u8)
        .collect();
    assert_eq!(levels, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn everything_that_has_a_text_is_logged() {
    let source = "ngx.log(ngx.ERR, 1.5, false, nil, ngx.null, setmetatable({}, { __tostring = function() return 'T' end }))";
    assert_eq!(logged(source)[0].1, "[lua] test.lua:1: 1.5falsenilnullT");
    assert_eq!(logged("ngx.log(ngx.ERR)")[0].1, "[lua] test.lua:1: ");
    assert_eq!(logged(r#"ngx.log(ngx.ERR, "a\xffb")"#)[0].1, "[lua] test.lua:1: a\u{fffd}b");
}

#[test]
fn what_has_no_text_is_refused() {
    let host = Host::new();
    assert_eq!(
        host.failure("ngx.log(ngx.ERR, 'a', {})"),
        "test.lua:1: bad argument #2 to 'log' (expected table to have __tostring metamethod)"
    );
    assert_eq!(
        host.failure("ngx.log(ngx.ERR, print)"),
        "test.lua:1: bad argument #1 to 'log' (string, number, boolean, or nil expected, got function)"
    );
    assert_eq!(host.failure("ngx.log(9, 'a')"), "test.lua:1: bad argument #1 to 'log' (bad log level: 9)");
    assert_eq!(
        host.failure("ngx.log('x')"),
        "test.lua:1: bad argument #1 to 'log' (number expected, got string)"
    );
}

#[test]
fn lines_below_the_level_are_not_made() {
    let host = Host::new();
    host.vm.set_log_level(Level::Notice);
    host.run(
        Phase::Access,
        "ngx.log(ngx.INFO, setmetatable({}, { __tostring = error })) print('b') ngx.log(ngx.ERR, 'c')",
        &mut Request::get("/"),
    )
    .unwrap();
    let lines: Vec<_> = host.take_log().into_iter().map(|(level, _)| level).collect();
    assert_eq!(lines, [Level::Notice, Level::Error]);
}

#[test]
fn a_function_that_ends_with_its_line_has_no_place() {
    assert_eq!(logged("return ngx.log(ngx.ERR, 'x')").len(), 1);
}

#[test]
fn a_new_global_is_warned_of_once() {
    let host = Host::new();
    let handler = host.load("count = (count or 0) + 1\nngx.say(count)");
    for _ in 0..2 {
        let mut request = Request::get("/");
        let _ = host.vm.start(&handler, Phase::Content, &mut request);
    }
    let log = host.take_log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0].0, Level::Warn);
    assert!(log[0].1.contains("writing a global Lua variable ('count')"), "{log:?}");
    assert!(log[0].1.ends_with("test.lua:1: in main chunk"), "{log:?}");
}
