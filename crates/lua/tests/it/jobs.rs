//! `ngx.run_worker_thread`: what crosses to the other thread and back.

use std::collections::BTreeMap;

use tidegate_core::{DictName, snapshot::LuaSettings};

use crate::support::{Host, Request, dict_settings};

fn host() -> (Host, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let module = "return {
        echo = function(...) return ... end,
        fail = function() error('broken', 0) end,
        bad = function() return { print } end,
        phase = function() return ngx.get_phase(), pcall(ngx.say, 'x') end,
        count = function() return (ngx.shared.dogs:incr('n', 1, 0)) end,
    }";
    std::fs::write(folder.path().join("job.lua"), module).unwrap();
    let settings = LuaSettings {
        package_path: format!("{}/?.lua;;", folder.path().display()),
        shared_dicts: dict_settings(&[("dogs", 4096)]),
        thread_pools: BTreeMap::from([(DictName::new("pool").unwrap(), 2)]),
        ..LuaSettings::default()
    };
    (Host::with_settings(&settings), folder)
}

fn say(host: &Host, call: &str) -> String {
    host.say(&format!("ngx.print(ngx.run_worker_thread({call}))")).replace("true", "T").replace("false", "F")
}

#[test]
fn values_go_there_and_come_back() {
    let (host, _folder) = host();
    assert_eq!(say(&host, "'pool', 'job', 'echo', 1, nil, 'a\\0b', true, ngx.null"), "T1nila\0bTnull");
    let nested = "local ok, t = ngx.run_worker_thread('pool', 'job', 'echo', { { a = 'b' }, c = 2 })
        ngx.print(t[1].a, t.c)";
    assert_eq!(host.say(nested), "b2");
    assert_eq!(say(&host, "'pool', 'job', 'count'") + &say(&host, "'pool', 'job', 'count'"), "T1T2");
}

#[test]
fn what_cannot_cross_is_said() {
    let (host, _folder) = host();
    assert_eq!(say(&host, "'pool', 'job'"), "Fexpecting at least 3 arguments");
    assert_eq!(say(&host, "'none', 'job', 'echo'"), "Fthread pool none not found");
    assert_eq!(
        say(&host, "'pool', 'job', 'echo', print"),
        "Funsupported Lua type: LUA_TFUNCTION in the argument"
    );
    assert_eq!(
        say(&host, "'pool', 'job', 'bad'"),
        "Funsupported Lua type: LUA_TFUNCTION in the return value"
    );
    let endless = "local t = {} t.t = t ngx.print(ngx.run_worker_thread('pool', 'job', 'echo', t))";
    assert!(host.say(endless).contains("table depth exceed max depth: 100"), "{}", host.say(endless));
}

#[test]
fn errors_and_missing_modules_come_back_as_text() {
    let (host, _folder) = host();
    assert_eq!(say(&host, "'pool', 'job', 'fail'"), "Fbroken");
    assert!(say(&host, "'pool', 'nowhere', 'x'").starts_with("Fmodule 'nowhere' not found"));
    assert!(say(&host, "'pool', 'job', 'missing'").contains("attempt to call a nil value"));
}

#[test]
fn there_is_no_request_over_there() {
    let (host, _folder) = host();
    let told = say(&host, "'pool', 'job', 'phase'");
    assert_eq!(told, "Tworker_threadFAPI disabled in the context of ngx.run_worker_thread");
    let failure = host.run(
        tidegate_lua::Phase::Init,
        "ngx.run_worker_thread('pool', 'job', 'echo')",
        &mut Request::get("/"),
    );
    assert!(failure.is_err());
}
