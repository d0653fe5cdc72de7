//! Loading, running side by side, and cleaning up.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tidegate_core::snapshot::LuaSettings;
use tidegate_lua::{
    BodyState, Dicts, Error, Exchange, Handler, InvalidHeader, Level, Phase, Reply, RequestState, Step, Task,
    Ticket, Verdict, Vm, WorkerIdentity,
};

use crate::support::{Host, Request, script};

fn wait(host: &Host, handler: &Handler, request: &mut Request) -> Task {
    match host.vm.start(handler, Phase::Content, request) {
        Step::Wait(task) => task,
        other => panic!("does not wait: {other:?}"),
    }
}

#[test]
fn suspended_requests_are_resumed_in_any_order_each_with_its_own() {
    let host = Host::new();
    let handler = host.load(
        "local id = ngx.var.arg_id
        for i = 1, 3 do ngx.sleep(i) ngx.say(id, ' ', ngx.var.arg_id, ' ', i) end",
    );
    let mut requests: Vec<_> = (0..20).map(|id| Request::get(&format!("/?id={id}"))).collect();
    let mut waiting: Vec<_> = (0..20).map(|id| (id, wait(&host, &handler, &mut requests[id]))).collect();
    let mut turn = 7;
    while !waiting.is_empty() {
        turn = (turn * 31 + 11) % 1009;
        let (id, task) = waiting.swap_remove(turn % waiting.len());
        if let Step::Wait(task) = host.vm.resume(task, Ticket::ENTRY, &Reply::Done, &mut requests[id]) {
            waiting.push((id, task));
        }
    }
    for (id, request) in requests.iter().enumerate() {
        assert_eq!(request.output(), format!("{id} {id} 1\n{id} {id} 2\n{id} {id} 3\n"));
    }
}

#[test]
fn a_task_goes_on_with_the_exchange_it_is_resumed_with() {
    let host = Host::new();
    let handler = host.load("ngx.say('a') ngx.sleep(1) ngx.say('b')");
    let mut first = Request::get("/");
    let task = wait(&host, &handler, &mut first);
    // The proxy may have moved its request in the meantime.
    let mut moved = Box::new(first);
    assert!(matches!(
        host.vm.resume(task, Ticket::ENTRY, &Reply::Done, &mut *moved),
        Step::Done(Verdict::Continue)
    ));
    assert_eq!(moved.output(), "a\nb\n");
}

#[test]
fn an_abandoned_task_never_runs_again_and_leaves_nothing_behind() {
    let host = Host::new();
    let handler = host.load(
        "package.loaded.alive = package.loaded.alive or setmetatable({}, { __mode = 'k' })
        local mine = {} package.loaded.alive[mine] = true
        ngx.sleep(1) ngx.say('never') return mine",
    );
    for _ in 0..10 {
        let mut request = Request::get("/");
        drop(wait(&host, &handler, &mut request));
        assert_eq!(request.output(), "");
    }
    // With the task the pointer to its exchange is gone as well: a request that needs one has its own. LuaJIT
    // may keep one stack until other code has run.
    host.say("ngx.time()");
    host.say("collectgarbage()");
    assert_eq!(host.say("collectgarbage() ngx.print(next(package.loaded.alive))"), "nil");
}

#[test]
fn globals_are_the_worker_s_and_new_ones_are_told() {
    let host = Host::new();
    let mut request = Request::get("/");
    let counter = host.load("n = (n or 0) + 1 _G.m = n ngx.print(n, m)");
    for _ in 0..3 {
        host.vm.start(&counter, Phase::Content, &mut request);
    }
    assert_eq!(request.output(), "112233");
    let told = host.take_log();
    assert_eq!(told.len(), 2, "{told:?}");
    let start = "[lua] _G write guard: writing a global Lua variable ('n') which may lead to race conditions \
         between concurrent requests, so prefer the use of 'local' variables\nstack traceback:\n\ttest.lua:1: in ";
    assert!(told[0].0 == Level::Warn && told[0].1.starts_with(start), "{told:?}");
    assert_eq!(host.say("ngx.print(n, m, rawget(_G, 'n'))"), "333");
    assert_eq!(host.say("package.preload.sees = function() return n end ngx.print(require('sees'))"), "3");
    assert_eq!(host.say("ngx.print(type(print), _G == getfenv())"), "functiontrue");
}

#[test]
fn a_script_may_take_arguments_start_with_a_shebang_and_end_in_a_comment() {
    let host = Host::new();
    assert_eq!(host.say("ngx.print(select('#', ...))"), "0");
    assert_eq!(host.say("#!/usr/bin/env lua\nngx.print('x')"), "x");
    assert_eq!(host.say("ngx.print('x') -- done"), "x");
    assert_eq!(host.say("ngx.print('x') do return end"), "x");
    assert_eq!(host.say(""), "");
}

#[test]
fn modules_are_found_on_the_configured_path() {
    let folder = std::env::temp_dir().join(format!("tidegate-lua-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("greeting.lua"), "return { text = 'hello from ' .. ... }").unwrap();
    let host = Host::with_settings(&LuaSettings {
        package_path: format!("{}/?.lua;;", folder.display()),
        ..LuaSettings::default()
    });
    assert_eq!(host.say("ngx.print(require('greeting').text)"), "hello from greeting");
    assert_eq!(host.say("ngx.print(#package.path > 60)"), "true", "the default path is kept");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn luajit_is_all_there() {
    let source = r"
        ngx.print(jit.status(), require('bit').band(6, 3), require('ffi').sizeof('int'), type(debug.getinfo),
            require('string.buffer').new():put('a', 1):tostring(), #require('table.new')(4, 0))";
    assert_eq!(Host::new().say(source), "true24functiona10");
}

#[test]
fn handlers_and_tasks_belong_to_the_vm_that_made_them() {
    let (one, two) = (Host::new(), Host::new());
    let handler = one.load("ngx.sleep(1)");
    let mut request = Request::get("/");
    assert!(matches!(two.vm.start(&handler, Phase::Content, &mut request), Step::Failed(_)));
    let task = wait(&one, &handler, &mut request);
    assert!(matches!(two.vm.resume(task, Ticket::ENTRY, &Reply::Done, &mut request), Step::Failed(_)));
}

#[test]
fn what_was_handed_out_may_outlive_the_vm() {
    let host = Host::new();
    let handler = host.load("ngx.ctx.a = 1 ngx.sleep(1)");
    let mut request = Request::get("/");
    let task = wait(&host, &handler, &mut request);
    drop(host);
    drop((task, handler, request));
}

/// An exchange that uses the VM that runs it.
struct Meddler {
    vm: Rc<Vm>,
    handler: Handler,
    inner: RefCell<Vec<Step>>,
    loaded: RefCell<Option<Error>>,
    request: Request,
}

impl Exchange for Meddler {
    fn method(&self) -> &[u8] {
        let mut other = Request::get("/");
        let step = self.vm.start(&self.handler, Phase::Access, &mut other);
        self.inner.borrow_mut().push(step);
        self.vm.finish(&mut other.state);
        *self.loaded.borrow_mut() = self.vm.load(&script("inner.lua", "")).err();
        b"GET"
    }

    fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.request.each_header(each);
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.request.header(name)
    }

    fn set_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        self.request.set_header(name, values)
    }

    fn each_response_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.request.each_response_header(each);
    }

    fn set_response_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        self.request.set_response_header(name, values)
    }

    fn args(&self) -> Option<&[u8]> {
        self.request.args()
    }

    fn variable(&self, name: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
        self.request.variable(name)
    }

    fn set_variable(&mut self, _: &[u8], _: &[u8]) -> bool {
        false
    }

    fn status(&self) -> u16 {
        self.request.status()
    }

    fn set_status(&mut self, status: u16) {
        self.request.set_status(status);
    }

    fn headers_sent(&self) -> bool {
        self.request.headers_sent()
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        self.request.write(bytes)
    }

    fn body(&self) -> Option<&[u8]> {
        self.request.body()
    }

    fn body_state(&self) -> BodyState {
        BodyState::Unread
    }
    fn discard_body(&mut self) {}
    fn set_body(&mut self, _: Vec<u8>, _: Option<usize>) -> Result<(), String> {
        Ok(())
    }
    fn set_body_file(&mut self, _: &[u8], _: bool) -> Result<(), String> {
        Ok(())
    }
    fn set_method(&mut self, _: &[u8]) {}
    fn set_path(&mut self, _: &[u8]) {}
    fn set_args(&mut self, _: &[u8]) {}
    fn add_header(&mut self, _: &[u8], _: &[u8]) -> Result<(), InvalidHeader> {
        Ok(())
    }
    fn add_response_header(&mut self, _: &[u8], _: &[u8]) -> Result<(), InvalidHeader> {
        Ok(())
    }
    fn client(&self) -> std::net::SocketAddr {
        self.request.client()
    }

    fn state(&mut self) -> &mut RequestState {
        self.request.state()
    }
}

#[test]
fn a_vm_that_runs_cannot_be_entered() {
    let settings = LuaSettings::default();
    let dicts = Dicts::new(&settings.shared_dicts);
    let vm = Vm::new(&settings, dicts, WorkerIdentity { id: 0, count: 1 }, Arc::new(|_| ())).unwrap();
    let vm = Rc::new(vm);
    let handler = vm.load(&script("a.lua", "ngx.print(ngx.req.get_method(), ngx.ctx.a)")).unwrap();
    let mut meddler = Meddler {
        vm: Rc::clone(&vm),
        handler: handler.clone(),
        inner: RefCell::default(),
        loaded: RefCell::default(),
        request: Request::get("/"),
    };
    assert!(matches!(vm.start(&handler, Phase::Content, &mut meddler), Step::Done(Verdict::Continue)));
    assert_eq!(meddler.request.output(), "GETnil");
    assert!(matches!(meddler.inner.take().as_slice(), [Step::Failed(_)]));
    assert_eq!(meddler.loaded.take(), Some(Error::Busy));
}

#[test]
fn a_small_vm_puts_collections_off_unless_bytes_count_or_a_script_sets_the_pace() {
    let host = Host::new();
    host.vm.set_thrifty(true);
    host.vm.set_thrifty(false);
    assert_eq!(host.say("ngx.print(collectgarbage('setpause', 300))"), "300");
    host.vm.set_thrifty(true);
    assert_eq!(
        host.say("ngx.print(collectgarbage('setpause', 300))"),
        "300",
        "it stays what a script has set it to"
    );
    let another = Host::new();
    another.vm.set_thrifty(true);
    assert_eq!(another.say("ngx.print(collectgarbage('setpause', 300))"), "200");
}

#[test]
fn finalizers_disturb_nothing_whenever_they_run() {
    let host = Host::new();
    let mut request = Request::get("/?a=1").with_header("X-First", "first").with_header("X-Second", "second");
    // Interpreted, because compiled code runs no finalizers in between; with a collector that is always at it.
    let source = r"
        jit.off() jit.flush()
        collectgarbage('setpause', 0) collectgarbage('setstepmul', 100000)
        local dogs, runs = ngx.shared.dogs, 0
        dogs:set('text', ('z'):rep(100))
        local function litter()
            local proxy = newproxy(true)
            getmetatable(proxy).__gc = function()
                runs = runs + 1
                local ok = pcall(ngx.req.set_header, 'X-First', ('q'):rep(1000))
                assert(not ok and dogs:get('text') == ('z'):rep(100))
                assert(#ngx.escape_uri((' '):rep(300)) == 900)
                assert(ngx.decode_args('p=1&q=2&r=3').q == '2')
                pcall(ngx.exit, 500)
            end
        end
        for i = 1, 300 do
            litter()
            local headers = ngx.req.get_headers()
            assert(headers['x-first'] == 'first' and headers['x-second'] == 'second')
            assert(ngx.unescape_uri('a%20b') == 'a b' and ngx.var.arg_a == '1')
            assert(ngx.decode_args('a=1&b=2').b == '2' and dogs:get('text') == ('z'):rep(100))
            ngx.header.many = { i, 'x' }
            assert(ngx.header.many[1] == tostring(i))
        end
        assert(runs > 100, runs)
        jit.on()
        ngx.print('well')";
    let (verdict, ops) = host.answer(source, &mut request);
    assert_eq!((verdict, ops, request.output().as_str()), (Verdict::Continue, vec![], "well"));
    assert_eq!(request.header_values("x-first"), ["first"]);
}

#[test]
fn a_script_may_stop_the_collector() {
    let host = Host::new();
    let source =
        "collectgarbage('stop') ngx.print(ngx.var.arg_a, ngx.unescape_uri('%20')) collectgarbage('restart')";
    let mut request = Request::get("/?a=1");
    host.answer(source, &mut request);
    assert_eq!(request.output(), "1 ");
}

#[test]
fn memory_does_not_grow_with_the_number_of_requests() {
    let host = Host::new();
    let handlers = [
        "ngx.ctx.a = ngx.var.arg_id ngx.req.set_header('a', ngx.ctx.a) ngx.shared.dogs:incr('n', 1, 0)",
        "ngx.sleep(1) ngx.say('x', ngx.var.arg_id)",
        "ngx.exit(403)",
        "error('x')",
        "coroutine.wrap(function() ngx.sleep(1) ngx.ctx.b = {} end)()",
        "ngx.sleep(1)",
    ]
    .map(|source| host.load(source));
    let run = |count: u32| {
        for id in 0..count {
            let mut request = Request::get(&format!("/?id={id}"));
            let handler = &handlers[id as usize % handlers.len()];
            let mut step = host.vm.start(handler, Phase::Content, &mut request);
            // The last kind is abandoned.
            while let Step::Wait(task) = step
                && id as usize % handlers.len() != handlers.len() - 1
            {
                step = host.vm.resume(task, Ticket::ENTRY, &Reply::Done, &mut request);
            }
            // Some requests are dropped without a word.
            if id % 2 == 0 {
                host.vm.finish(&mut request.state);
            }
        }
        host.say("collectgarbage() collectgarbage()");
        host.vm.memory_bytes()
    };
    let before = run(5_000);
    let after = run(100_000);
    assert!(after < before + (64 << 10), "{before} bytes grew to {after}");
}

#[test]
fn a_script_that_is_no_longer_used_is_unloaded() {
    let host = Host::new();
    let load = |count| {
        for number in 0..count {
            let filler = "local x = 'some text that takes space' .. ngx.now()\n".repeat(50);
            drop(host.load(&format!("{filler} local n = {number}")).clone());
        }
        host.say("collectgarbage() collectgarbage()");
        host.vm.memory_bytes()
    };
    let before = load(20);
    let after = load(2_000);
    assert!(after < before + (64 << 10), "{before} bytes grew to {after}");
}

#[test]
fn a_vm_with_nothing_to_do_gives_back_what_a_burst_left() {
    let host = Host::new();
    host.vm.tend();
    let before = host.vm.memory_bytes();
    host.say("local kept = {} for i = 1, 1e5 do kept[i] = { i } end ngx.say(#kept)");
    host.vm.tend();
    let busy = host.vm.memory_bytes();
    assert!(busy > before + (2 << 20), "{before} {busy}");
    host.vm.tend();
    let after = host.vm.memory_bytes();
    assert!(after < before + (1 << 20), "{before} bytes grew to {after}");
}

#[test]
fn a_large_heap_with_nothing_to_do_is_collected_part_by_part() {
    let host = Host::new();
    host.vm.tend();
    let before = host.vm.memory_bytes();
    host.say("local kept = {} for i = 1, 2e6 do kept[i] = { i } end ngx.say(('x'):rep(5e7):len())");
    host.vm.tend();
    let busy = host.vm.memory_bytes();
    assert!(busy > before + (100 << 20), "{before} {busy}");
    host.vm.tend();
    assert!(host.vm.memory_bytes() > before + (4 << 20), "not all at once");
    (0..200).for_each(|_| host.vm.tend());
    let after = host.vm.memory_bytes();
    assert!(after < before + (2 << 20), "{before} bytes grew to {after}");
    // What is in use stays, and is not looked at again and again.
    host.say("package.loaded.kept = {} for i = 1, 2e6 do package.loaded.kept[i] = { i } end ngx.say('on')");
    (0..200).for_each(|_| host.vm.tend());
    let cycles = || host.say("ngx.say(collectgarbage('count') > 1e5)");
    assert_eq!(cycles(), "true\n");
}

/// How often LuaJIT threw its code away while scripts with a loop were loaded and run, each kept for as long as `keep` says.
fn flushes(keep: usize) -> String {
    let host = Host::new();
    host.say(
        "local seen = { flush = 0 } package.loaded.seen = seen
         jit.attach(function(what) seen[what] = (seen[what] or 0) + 1 end, 'trace')",
    );
    let mut kept = std::collections::VecDeque::new();
    for number in 0..300 {
        let handler = host.load(&format!("local n = {number} for i = 1, 200 do n = n + i end ngx.say(n)"));
        let step = host.vm.start(&handler, Phase::Content, &mut Request::get("/"));
        assert!(matches!(step, Step::Done(_)));
        kept.push_front(handler);
        kept.truncate(keep);
        host.vm.tend();
    }
    let seen = host.say("local seen = require 'seen' ngx.print(seen.flush, ' ', seen.stop > 200)");
    seen.strip_suffix(" true").expect("scripts are compiled").to_owned()
}

#[test]
fn code_of_scripts_that_have_gone_is_thrown_away() {
    assert_eq!(flushes(1), "4");
}

#[test]
fn code_of_scripts_that_stay_is_kept() {
    assert_eq!(flushes(100), "0");
}
