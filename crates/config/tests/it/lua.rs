//! `lua`, `vars` and what answers a route by itself.

use std::{path::PathBuf, time::Duration};

use tidegate_core::{
    Snapshot,
    snapshot::{
        Assignment, Budget, ErrorLevel, ErrorLog, ErrorLogFormat, FixedAnswer, LocalAnswer, Route, Script,
        StaticFiles, Template, Value,
    },
};

use crate::{LISTENERS, messages, parse, valid};

fn script(name: &str, source: &str) -> Script {
    Script::new(name, source)
}

/// The snapshot of `text` behind listeners.
fn snapshot(text: &str) -> Snapshot {
    valid(&format!("{LISTENERS}{text}"))
}

fn only_route(text: &str) -> Route {
    snapshot(&format!("routes: [{text}]")).routes.remove(0)
}

#[test]
fn a_prefix_is_the_folder_of_the_configuration() {
    let lua = snapshot("lua: { packagePath: '$prefix/lua/?.lua;;', packageCpath: '${prefix}lib/?.so' }").lua;
    assert_eq!(lua.package_path, "conf/lua/?.lua;;");
    assert_eq!(lua.package_cpath, "conf/lib/?.so");
    assert_eq!(lua.prefix, "conf/");
    let (beside, _) = tidegate_config::parse("tidegate.yaml", LISTENERS, &crate::read);
    assert_eq!(beside.unwrap().lua.prefix, "./");
}

#[test]
fn every_key_of_lua_reaches_the_snapshot() {
    let text = "\
lua:
  codeCache: false
  serverRewrite: early.lua
  env: [HOME, MODE=test]
  strictContexts: true
  maxPendingTimers: 5
  maxRunningTimers: 6
  http10Buffering: false
  transformUnderscoresInResponseHeaders: false
  regexCacheMaxEntries: 7
  regexMatchLimit: 8
  captureErrorLog: 64KiB
  sockets: { connectTimeout: 1s, poolSize: 9, bufferSize: 1B, logErrors: false, resolver: [127.0.0.1:53] }
";
    let lua = snapshot(text).lua;
    assert_eq!(lua.server_rewrite, Some(script("conf/early.lua", "-- conf/early.lua")));
    assert_eq!(lua.env, Some(vec!["HOME".into(), "MODE=test".into()]));
    assert!(!lua.code_cache && lua.strict_contexts && !lua.http10_buffering && !lua.transform_underscores);
    assert_eq!((lua.max_pending_timers, lua.max_running_timers), (5, 6));
    assert_eq!((lua.regex_cache_entries, lua.regex_match_limit), (7, 8));
    assert_eq!(lua.captured_log_bytes, 64 << 10);
    let sockets = lua.sockets;
    assert_eq!(
        (sockets.connect_timeout, sockets.read_timeout),
        (Duration::from_secs(1), Duration::from_mins(1))
    );
    assert_eq!((sockets.pool_size, sockets.buffer_bytes, sockets.log_errors), (9, 1, false));
    assert_eq!(sockets.resolver, ["127.0.0.1:53"]);
}

#[test]
fn a_route_inherits_the_phases_it_has_not() {
    let text = "\
lua: { rewrite: r.lua, access: a.lua, precontent: p.lua, headerFilter: h.lua, bodyFilter: b.lua, log: l.lua }
routes:
  - lua: { content: c.lua, access: own.lua }
";
    let hooks = snapshot(text).routes.remove(0).hooks;
    let names: Vec<_> = hooks.scripts().map(|script| &*script.name).collect();
    let expected = ["r", "own", "p", "c", "h", "b", "l"].map(|name| format!("conf/{name}.lua"));
    assert_eq!(names, expected);
}

#[test]
fn a_route_overrules_what_the_file_says() {
    let text = "\
lua: { needRequestBody: true, checkClientAbort: true, defaultType: text/html, useDefaultType: false }
routes:
  - { name: a, lua: { content: c.lua } }
  - { name: b, match: { path: /b }, lua: { content: c.lua, needRequestBody: false, checkClientAbort: false, defaultType: '', useDefaultType: true } }
";
    let routes = snapshot(text).routes;
    let told = |route: &Route| {
        (
            route.need_request_body,
            route.check_client_abort,
            route.default_type.clone(),
            route.use_default_type,
        )
    };
    assert_eq!(told(&routes[0]), (true, true, "text/html".into(), false));
    assert_eq!(told(&routes[1]), (false, false, String::new(), true));
    assert_eq!(told(&only_route("{ lua: { content: c.lua } }")), (false, false, "text/plain".into(), true));
}

#[test]
fn variables_keep_their_order() {
    let snapshot = snapshot("vars: { Zone: eu }\nroutes: [{ vars: { b: 'x $a', a: '', c: 2 }, return: {} }]");
    let assignment =
        |name: &str, text: &str| Assignment { name: name.into(), value: Value::Text(Template::parse(text)) };
    assert_eq!(snapshot.vars, [assignment("zone", "eu")]);
    let expected = [assignment("b", "x $a"), assignment("a", ""), assignment("c", "2")];
    assert_eq!(snapshot.routes[0].vars, expected);
}

#[test]
fn a_variable_can_be_computed() {
    let route =
        only_route("{ vars: { a: { lua: v.lua, args: ['$host', 1] }, b: { lua: return 2 } }, return: {} }");
    let Value::Lua { script, args } = &route.vars[0].value else { panic!("it is Lua") };
    assert_eq!(&*script.name, "conf/v.lua");
    assert_eq!(*args, [Template::parse("$host"), Template::parse("1")]);
    let Value::Lua { script, args } = &route.vars[1].value else { panic!("it is Lua") };
    assert_eq!((script.source.trim(), args.len()), ("return 2", 0));
}

#[test]
fn a_route_can_answer_by_itself() {
    let fixed = only_route("{ return: { status: 404, headers: { X-A: $host }, body: no }, internal: true }");
    let expected = FixedAnswer {
        status: 404,
        headers: vec![("X-A".into(), Template::parse("$host"))],
        body: Template::parse("no"),
    };
    assert_eq!(fixed.local, Some(LocalAnswer::Fixed(expected)));
    assert!(fixed.internal);
    let files = only_route("{ match: { name: '@files' }, static: { root: html } }");
    let expected = StaticFiles { root: PathBuf::from("conf/html"), index: "index.html".into() };
    assert_eq!(files.local, Some(LocalAnswer::Files(expected)));
    assert_eq!(files.matcher.name.as_deref(), Some("@files"));
}

#[test]
fn exactly_one_thing_answers_a_route() {
    let told = |route: &str| messages(&format!("{LISTENERS}routes: [{route}]"));
    assert_eq!(told("{}"), ["2:10 nothing answers the requests of the route"]);
    assert_eq!(
        told("{ return: {}, static: { root: html }, lua: { content: a() } }"),
        [
            "2:32 `return` and `static` exclude each other",
            "2:64 `return` and `lua.content` exclude each other"
        ]
    );
}

#[test]
fn an_error_log_has_a_format_a_level_and_a_file() {
    let log = snapshot("errorLog: { format: nginx, level: notice, file: logs/error.log }").error_log;
    let expected = ErrorLog {
        format: ErrorLogFormat::Nginx,
        level: Some(ErrorLevel::Notice),
        file: Some("conf/logs/error.log".into()),
    };
    assert_eq!(log, expected);
}

#[test]
fn scripts_that_nobody_inherits_are_read_too() {
    assert_eq!(
        messages(&format!(
            "{LISTENERS}lua: {{ log: missing.lua }}\nroutes: [{{ return: {{}}, lua: {{ log: a() }} }}]"
        )),
        ["2:13 cannot read `missing.lua`: entity not found"]
    );
}

#[test]
fn what_is_for_development_is_said() {
    let (snapshot, diagnostics) =
        parse(&format!("{LISTENERS}lua: {{ codeCache: false }}\nanswers: {{ luaErrors: true }}"));
    assert!(snapshot.is_some());
    for key in ["codeCache: false", "luaErrors: true"] {
        let start = format!("`{key}` is for development");
        assert!(diagnostics.iter().any(|one| one.message.starts_with(&start)), "{key} in {diagnostics:?}");
    }
    let (_, diagnostics) = parse(&format!("{LISTENERS}lua: {{ codeCache: true }}"));
    assert!(!diagnostics.iter().any(|one| one.message.contains("development")), "{diagnostics:?}");
}

#[test]
fn a_run_has_a_budget() {
    let budget = |lua: &str| parse(&format!("{LISTENERS}lua: {lua}")).0.unwrap().lua.budget;
    let (default, given) = (budget("{}"), budget("{ budget: { cpu: 50ms, memory: 256MiB } }"));
    assert_eq!((default.cpu, default.memory_bytes), (std::time::Duration::from_secs(1), 1 << 30));
    assert_eq!((given.cpu, given.memory_bytes), (std::time::Duration::from_millis(50), 256 << 20));
    assert_eq!(budget("{ budget: { cpu: 0s, memory: 0B } }").memory_bytes, 0);
}

#[test]
fn a_route_says_whether_its_scripts_are_trusted_and_what_they_may_take() {
    let text = format!(
        "{LISTENERS}lua: {{ sandbox: true }}
routes:
  - {{ match: {{ path: /a }}, lua: {{ content: ngx.say(1), budget: {{ cpu: 20ms, memory: 16MiB }} }} }}
  - {{ match: {{ path: /b }}, lua: {{ content: ngx.say(2), sandbox: false }} }}
"
    );
    let snapshot = parse(&text).0.unwrap();
    let routes: Vec<_> = snapshot.routes.iter().map(|route| (route.sandbox, route.budget)).collect();
    let bounded = Budget { cpu: Duration::from_millis(20), memory_bytes: 16 << 20 };
    assert_eq!(routes, [(true, bounded), (false, Budget::NONE)]);
    assert!(snapshot.lua.sandbox);
}
