//! A thousand scripts, each distinct, and distinct again in each version.

use std::fmt::Write as _;

/// What they are about; script N is of kind N modulo their number.
const KINDS: [&str; 10] = [
    "local t = {} for i = 1, 50 do t[i] = 'n' .. i * {n} end ngx.print(version, #table.concat(t, ','))",
    "local cjson = require 'cjson'
     local order = cjson.decode('{\"id\":{n},\"items\":[1,2,3],\"note\":\"v{version}\"}')
     order.version = version ngx.print(version, #cjson.encode(order))",
    "local found = ngx.re.match('id-{n}-v{version}-end', [[id-(\\d+)-v{version}]], 'jo') ngx.print(version, found[1])",
    "local d = ngx.shared.soak d:incr('n{n}', 1, 0, 60) d:set('v{n}', ('x'):rep(version % 512)) ngx.print(version)",
    "ngx.sleep(0.001) ngx.print(version)",
    "ngx.timer.at(0, function(_, v) last_{n} = v end, version) ngx.print(version)",
    "local t = ngx.thread.spawn(function(a) ngx.sleep(0) return a end, version) local _, v = ngx.thread.wait(t) ngx.print(v)",
    "ngx.print(version, ngx.location.capture('/inner?v={version}').body)",
    "ngx.req.read_body() ngx.print(version, ngx.md5(ngx.req.get_body_data() or '{n}'))",
    "local next = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) next()
     package.loaded['soak.{n}'] = { version = version, text = ('y'):rep(64) .. version } ngx.print(version, next())",
];

pub(crate) fn path(number: usize) -> String {
    format!("scripts/{number}.lua")
}

pub(crate) fn source(number: usize, version: u64) -> String {
    let body = KINDS[number % KINDS.len()]
        .replace("{n}", &number.to_string())
        .replace("{version}", &version.to_string());
    format!("local version = {version} ngx.header['X-Version'] = version\n{body}\n")
}

/// A route for each script, and one that others capture.
pub(crate) fn configuration(scripts: usize) -> String {
    let mut config = "
listeners: [{ address: '{listen}' }]
admin: { address: '{admin}' }
workers: 2
state: false
accessLog: false
lua: { sharedDicts: { soak: 4MiB } }
routes:
  - { match: { path: /inner }, internal: true, lua: { content: 'ngx.print(ngx.var.arg_v)' } }
"
    .to_owned();
    for number in 0..scripts {
        // Writing to a string cannot fail.
        let _ =
            writeln!(config, "  - {{ match: {{ path: /{number} }}, lua: {{ content: {} }} }}", path(number));
    }
    config
}
