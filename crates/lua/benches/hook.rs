//! What one call into Lua costs: nanoseconds per hook, the start of the handler included.
//!
//! A plain main that prints the fastest of several rounds, which is what the code costs when nothing
//! disturbs it; and how many traces LuaJIT compiled and gave up, because a hook whose traces are not
//! compiled costs ten times as much.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people to read the output of")]

use std::{
    borrow::Cow,
    collections::BTreeMap,
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use tidegate_core::{
    DictName, Timestamp,
    snapshot::{LuaSettings, Script},
};
use tidegate_lua::{
    BodyState, Dicts, Exchange, Handler, InvalidHeader, Phase, Reply, RequestState, Step, Ticket, Verdict,
    Vm, WorkerIdentity,
};

const ROUNDS: u32 = 400;
const HOOKS_PER_ROUND: u32 = 2_000;

const HOOKS: [(&str, &str); 10] = [
    ("nothing", ""),
    (
        "read and set a request header, count, set a response header",
        r#"local who = ngx.var.http_user_agent
        ngx.req.set_header("X-Agent", who)
        ngx.shared.hits:incr("all", 1, 0)
        ngx.header["X-Served-By"] = "tidegate""#,
    ),
    ("read a request header", "local who = ngx.var.http_user_agent"),
    ("set a request header", r#"ngx.req.set_header("X-Agent", "x")"#),
    ("count", r#"ngx.shared.hits:incr("all", 1, 0)"#),
    ("set a response header", r#"ngx.header["X-Served-By"] = "tidegate""#),
    ("ngx.say", r#"ngx.say("hello")"#),
    ("ngx.ctx", "ngx.ctx.n = 1"),
    ("ngx.exit", "ngx.exit(403)"),
    ("ngx.sleep, resumed", "ngx.sleep(0)"),
];

fn main() {
    for (name, source) in HOOKS {
        let bench = Bench::new(source);
        let traces = bench.load(TRACES);
        let mut request = Request::default();
        bench.vm.start(&traces, Phase::Content, &mut request);
        let best = (0..ROUNDS).map(|_| bench.round(&mut request)).fold(f64::INFINITY, f64::min);
        request.body.clear();
        bench.vm.start(&bench.load("ngx.print(traces())"), Phase::Content, &mut request);
        println!("{best:7.0} ns  {name} ({})", String::from_utf8_lossy(&request.body));
    }
}

/// Counts what the compiler does; `traces()` tells it.
const TRACES: &str = r#"
    local compiled, aborted = 0, {}
    jit.attach(function(what, _, func, pc, code, reason)
        if what == "stop" then
            compiled = compiled + 1
        elseif what == "abort" then
            local info = require("jit.util").funcinfo(func, pc)
            aborted[#aborted + 1] = (info.loc or "C") .. " for reason " .. tostring(code)
        end
    end, "trace")
    getmetatable(_G).__index.traces = function()
        return compiled, " traces compiled", #aborted > 0 and ", given up: " or "", table.concat(aborted, "; ")
    end"#;

struct Bench {
    vm: Vm,
    handler: Handler,
}

impl Bench {
    fn new(source: &str) -> Self {
        let shared_dicts = BTreeMap::from([(DictName::new("hits").unwrap(), 1 << 20)]);
        let settings = LuaSettings { shared_dicts, ..LuaSettings::default() };
        let dicts = Dicts::new(&settings.shared_dicts);
        let vm = Vm::new(&settings, dicts, WorkerIdentity { id: 0, count: 1 }, Arc::new(|_| ())).unwrap();
        vm.set_now(Timestamp::from_secs(1_777_636_800), Instant::now());
        let handler = vm.load(&Script::new("hook.lua", source)).unwrap();
        Self { vm, handler }
    }

    fn load(&self, source: &str) -> Handler {
        self.vm.load(&Script::new("bench.lua", source)).unwrap()
    }

    /// Nanoseconds per hook.
    fn round(&self, request: &mut Request) -> f64 {
        let start = Instant::now();
        for _ in 0..HOOKS_PER_ROUND {
            let mut step = self.vm.start(&self.handler, Phase::Content, black_box(request));
            while let Step::Wait(task) = step {
                step = self.vm.resume(task, Ticket::ENTRY, &Reply::Done, request);
            }
            assert!(matches!(step, Step::Done(Verdict::Continue | Verdict::Exit(_))));
            request.body.clear();
            self.vm.finish(&mut request.state);
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(HOOKS_PER_ROUND)
    }
}

/// A request that costs little, so that what is measured is Lua: headers that were set once keep their
/// memory.
struct Request {
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    response: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    state: RequestState,
}

impl Default for Request {
    fn default() -> Self {
        let header = |name: &str, value: &str| (name.into(), value.into());
        Self {
            headers: vec![
                header("Host", "localhost"),
                header("Accept", "*/*"),
                header("User-Agent", "bench/1.0 (of the hook)"),
                header("X-Agent", ""),
            ],
            response: vec![header("X-Served-By", "")],
            body: Vec::new(),
            state: RequestState::default(),
        }
    }
}

fn set(headers: &mut [(Vec<u8>, Vec<u8>)], name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
    let header = headers.iter_mut().find(|(header, _)| header.eq_ignore_ascii_case(name));
    let ((_, old), [new]) = (header.ok_or(InvalidHeader::Name)?, values) else {
        return Err(InvalidHeader::Value);
    };
    old.clear();
    old.extend_from_slice(new);
    Ok(())
}

impl Exchange for Request {
    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.headers {
            each(name, value);
        }
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    fn set_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        set(&mut self.headers, name, values)
    }

    fn each_response_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.response {
            each(name, value);
        }
    }

    fn set_response_header(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), InvalidHeader> {
        set(&mut self.response, name, values)
    }

    fn args(&self) -> Option<&[u8]> {
        None
    }

    fn variable(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn set_variable(&mut self, _: &[u8], _: &[u8]) -> bool {
        false
    }

    fn status(&self) -> u16 {
        0
    }

    fn set_status(&mut self, _: u16) {}

    fn headers_sent(&self) -> bool {
        false
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        self.body.extend_from_slice(bytes);
        false
    }

    fn body(&self) -> Option<&[u8]> {
        None
    }

    fn body_state(&self) -> BodyState {
        BodyState::Unread
    }

    fn discard_body(&mut self) {}

    fn set_body(&mut self, _body: Vec<u8>, _memory: Option<usize>) -> Result<(), String> {
        Ok(())
    }

    fn set_body_file(&mut self, _path: &[u8], _clean: bool) -> Result<(), String> {
        Ok(())
    }

    fn set_method(&mut self, _method: &[u8]) {}

    fn set_path(&mut self, _path: &[u8]) {}

    fn set_args(&mut self, _args: &[u8]) {}

    fn add_header(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), InvalidHeader> {
        Ok(())
    }

    fn add_response_header(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), InvalidHeader> {
        Ok(())
    }

    fn client(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 4711).into()
    }

    fn state(&mut self) -> &mut RequestState {
        &mut self.state
    }
}
