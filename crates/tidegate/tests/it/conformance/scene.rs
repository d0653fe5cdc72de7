//! The gateway in which cases are played: a route for each, peers to speak to, and a record of what was called.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, UdpSocket},
    thread,
};

use serde_json::{Value, json};
use tidegate_testkit::{
    Answer, Tidegate, Upstream,
    http::{self, Response},
    servers::{Authority, Openssl},
    unused_address,
};

use super::{
    case::{Case, Suite},
    surface,
};
use crate::{PATIENCE, TIDEGATE};

const RECORDER: &str = include_str!("recorder.lua");
/// What scripts run in threads of their own.
const JOB: &str = r#"
local job = {}
function job.add(a, b) return a + b, "sum" end
function job.fail() error("no job", 0) end
function job.opt() require("ngx.re").opt("jit_stack_size", 128 * 1024) return ngx.re.match("a", "a", "jo")[0] end
return job
"#;

/// Shakes hands with the gateway while the code of a case chooses the certificate, hears what is said before, or keeps the session.
const HANDSHAKE: &str = r#"
local notes, handshake = ngx.shared.notes, {}
local function shake(session)
    notes:delete("said")
    local socket = ngx.socket.tcp()
    assert(socket:connect("127.0.0.1", PORT))
    local ok, why = socket:sslhandshake(session, "localhost", false)
    -- What names the session comes after the handshake.
    if ok and socket:send("GET /served HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") then
        notes:set("reused", socket:receive("*a"):match("[r.]$"))
    end
    socket:close()
    return tostring(notes:get("said")) .. " " .. (ok and "shaken" or why), ok
end
function handshake.with(code)
    notes:set("code", code)
    return (shake())
end
function handshake.hearing(code)
    notes:set("early", code)
    return (shake())
end
-- In a request that follows.
function handshake.asking(code)
    notes:set("content", code)
    return (shake())
end
-- In both of two handshakes, of which the second goes on with the session of the first.
function handshake.keeping(store, fetch)
    notes:set("store", store)
    local kept, session = shake()
    notes:set("fetch", fetch)
    return kept, (shake(session)), notes:get("reused")
end
function handshake.serve(what)
    local code = notes:get(what)
    notes:delete(what)
    if not code then
        return
    end
    local results = { pcall(assert(loadstring(code))) }
    for index = 1, table.maxn(results) do
        results[index] = tostring(results[index])
    end
    table.remove(results, 1)
    notes:set("said", table.concat(results, " "))
end
return handshake
"#;

pub(super) struct Scene {
    tidegate: Tidegate,
    _upstream: Upstream,
    pub(super) tls: Option<Tls>,
}

impl Scene {
    pub(super) fn start(suite: &Suite) -> Self {
        let upstream = Upstream::start(|request| {
            let target = unnumbered(&request.target);
            let body = format!("{} {target} {}", request.method, String::from_utf8_lossy(&request.body));
            Answer::status(200, &[("X-Upstream", "yes")], body)
        });
        let tls = Tls::start();
        let setup = Tidegate::setup(TIDEGATE);
        let mut setup =
            setup.file("surface.lua", &names()).file("recorder.lua", RECORDER).file("job.lua", JOB);
        let secure = unused_address();
        setup = setup.file("handshake.lua", &HANDSHAKE.replace("PORT", &secure.port().to_string()));
        setup = setup.file("upload.txt", "a file\n").env("CONFORMANCE", "told");
        let setup = setup
            .set("upstream", &upstream.addr())
            .set("upstreamPort", &upstream.addr().port())
            .set("udpPort", &echo().port())
            .set("secure", &secure)
            .set("securePort", &secure.port())
            .set("deadPort", &unused_address().port());
        let setup = match &tls {
            Some(tls) => setup
                .set("tlsPort", &tls.server.address().port())
                .set("authority", &tls.authority.certificate().display())
                .set("certificate", &tls.authority.server().0.display())
                .set("staple", &tls.authority.staple(&tls.authority.server().0).display())
                .set("key", &tls.authority.server().1.display()),
            None => setup,
        };
        let tidegate = setup.start(&config(suite, tls.is_some()));
        Self { tidegate, _upstream: upstream, tls }
    }

    pub(super) fn get(&self, path: &str) -> Response {
        http::get(self.tidegate.addr(), path)
    }

    /// The answer, or why there is none.
    pub(super) fn play(&self, number: usize, case: &Case) -> Result<Response, String> {
        let headers: Vec<(&str, &str)> =
            case.request_headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let target = format!("/case/{number}{}", case.target);
        self.get("/forget");
        let mut client = http::Client::connect(self.tidegate.addr()).map_err(|error| error.to_string())?;
        let answer = client.request(&case.method, &target, &headers, case.request_body.as_bytes());
        answer.map_err(|error| format!("no answer: {error}"))
    }

    /// Whether the log comes to have `text`.
    pub(super) fn logs(&self, text: &str) -> bool {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            if self.tidegate.log().contains(text) {
                return true;
            }
            if std::time::Instant::now() > deadline {
                return false;
            }
            thread::yield_now();
        }
    }

    /// The functions that were called since the last case began.
    pub(super) fn called(&self) -> BTreeSet<String> {
        self.get("/called").text().lines().map(str::to_owned).collect()
    }
}

/// What a case is asked for, without the number that it happens to have.
fn unnumbered(target: &str) -> String {
    target.strip_prefix("/case/").map_or_else(
        || target.to_owned(),
        |rest| format!("/case{}", rest.trim_start_matches(|digit: char| digit.is_ascii_digit())),
    )
}

/// The list, as the recorder reads it.
fn names() -> String {
    let entries = surface::functions().filter(surface::Function::is_recorded).map(|function| {
        let surface::Function { kind, owner, own: name } = &function;
        format!("{{ kind = {kind:?}, owner = {owner:?}, name = {name:?}, full = {:?} }},\n", function.name())
    });
    format!("return {{\n{}}}\n", entries.collect::<String>())
}

fn config(suite: &Suite, has_tls: bool) -> String {
    let mut routes = vec![
        json!({ "match": { "path": "/forget" }, "lua": { "content": "require('recorder').forget()" } }),
        json!({ "match": { "path": "/called" }, "lua": { "content": "require('recorder').tell()" } }),
        json!({ "match": { "path": "/served" }, "lua": {
            "content": "require('handshake').serve('content') ngx.print(ngx.var.ssl_session_reused)"
        } }),
        json!({ "match": { "path": "/surface" }, "lua": { "content": "require('recorder').surface()" } }),
    ];
    routes.extend(peers());
    routes.extend(suite.cases.iter().enumerate().map(|(number, case)| route(number, case)));
    let mut listeners = vec![json!({ "address": "{listen}" })];
    if has_tls {
        listeners.push(json!({
            "address": "{secure}",
            "tls": { "certificate": "{certificate}", "key": "{key}" },
            "lua": {
                "sslClientHello": "require('handshake').serve('early')",
                "sslSessionFetch": "require('handshake').serve('fetch')",
                "sslCertificate": "require('handshake').serve('code')",
                "sslSessionStore": "require('handshake').serve('store')",
            },
        }));
    }
    let config = json!({
        "listeners": listeners,
        "admin": { "address": "{admin}" },
        "workers": 1,
        "errorLog": { "format": "nginx", "level": "info" },
        "limits": { "clientBodyBuffer": "1KiB" },
        "upstreams": { "echo": { "endpoints": [{ "address": "{upstream}" }] } },
        "vars": { "settable": "" },
        "lua": {
            "packagePath": "{dir}/?.lua;;",
            "sharedDicts": { "calls": "1MiB", "dogs": "32KiB", "notes": "32KiB", "small": "12KiB" },
            "threadPools": { "jobs": 1 },
            "checkClientAbort": true,
            "captureErrorLog": "64KiB",
            "env": ["CONFORMANCE"],
            "initWorker": "require('recorder').record()",
        },
        "routes": routes,
    });
    serde_json::to_string_pretty(&config).unwrap()
}

/// Routes that cases send requests to.
fn peers() -> Vec<Value> {
    let told = "ngx.req.read_body() ngx.header['X-Peer'] = 'yes' ngx.print(ngx.req.get_method(), ' ', ngx.var.uri, ' ',
        ngx.var.args or '', ' ', ngx.req.get_body_data() or '')";
    let abort =
        "local ok, why = ngx.on_abort(function() ngx.shared.notes:set('aborted', true) ngx.exit(499) end)
        ngx.shared.notes:set('watched', tostring(ok)) ngx.sleep(60)";
    let raw = "local socket = ngx.req.socket(true) socket:send('HTTP/1.1 200 OK\\r\\n\\r\\n') ngx.flush(true)
        local line = socket:receive() while line do socket:send(line:upper() .. '\\n') line = socket:receive() end";
    vec![
        json!({ "match": { "path": "/peer/*" }, "lua": { "content": told } }),
        json!({ "match": { "path": "/inner" }, "internal": true,
            "lua": { "content": "ngx.print(tostring(ngx.req.is_internal()), ' ', tostring(ngx.is_subrequest))" } }),
        json!({ "match": { "path": "/abort" }, "lua": { "content": abort } }),
        json!({ "match": { "path": "/raw" }, "lua": { "content": raw } }),
    ]
}

fn route(number: usize, case: &Case) -> Value {
    let mut route = case.route.clone();
    route.insert("match".into(), json!({ "path": format!("~ ^/case/{number}(/|$)") }));
    let mut hooks = route.remove("lua").and_then(|hooks| hooks.as_object().cloned()).unwrap_or_default();
    let source = if case.in_timer {
        format!("return require('recorder').in_timer(function() {}\nend)", case.code)
    } else if case.phase == "content" {
        format!("return require('recorder').run(function() {}\nend)", case.code)
    } else {
        case.code.clone()
    };
    hooks.insert(case.phase.clone(), json!({ "name": "=case", "source": source }));
    let is_answered =
        hooks.contains_key("content") || route.contains_key("upstream") || route.contains_key("return");
    if !is_answered {
        hooks.insert("content".into(), "ngx.print('content')".into());
    }
    route.insert("lua".into(), hooks.into());
    route.into()
}

/// Sends datagrams back.
fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..length], from);
        }
    });
    address
}

/// A server that speaks TLS and sends lines back, in reverse.
pub(super) struct Tls {
    authority: Authority,
    server: Openssl,
}

impl Tls {
    fn start() -> Option<Self> {
        let authority = Authority::new()?;
        let (certificate, key) = authority.server();
        let server = Openssl::serve((&certificate, &key), &["-quiet", "-rev"])?;
        Some(Self { authority, server })
    }
}
