//! The table of everything that `ngx` offers: each name is there, as what it should be.
//!
//! What they do is tested by topic, here and where a request comes through a socket; and function by function, with their
//! errors, by the conformance cases of the program.

use crate::support::Host;

const LIST: &str = include_str!("../surface.txt");

const NUMBERS: &str = "STDERR EMERG ALERT CRIT ERR WARN NOTICE INFO DEBUG OK ERROR AGAIN DONE DECLINED
    HTTP_GET HTTP_HEAD HTTP_PUT HTTP_POST HTTP_DELETE HTTP_OPTIONS HTTP_MKCOL HTTP_COPY HTTP_MOVE HTTP_PROPFIND
    HTTP_PROPPATCH HTTP_LOCK HTTP_UNLOCK HTTP_PATCH HTTP_TRACE HTTP_CONTINUE HTTP_SWITCHING_PROTOCOLS HTTP_OK
    HTTP_CREATED HTTP_ACCEPTED HTTP_NO_CONTENT HTTP_PARTIAL_CONTENT HTTP_SPECIAL_RESPONSE HTTP_MOVED_PERMANENTLY
    HTTP_MOVED_TEMPORARILY HTTP_SEE_OTHER HTTP_NOT_MODIFIED HTTP_TEMPORARY_REDIRECT HTTP_PERMANENT_REDIRECT
    HTTP_BAD_REQUEST HTTP_UNAUTHORIZED HTTP_PAYMENT_REQUIRED HTTP_FORBIDDEN HTTP_NOT_FOUND HTTP_NOT_ALLOWED
    HTTP_NOT_ACCEPTABLE HTTP_REQUEST_TIMEOUT HTTP_CONFLICT HTTP_GONE HTTP_UPGRADE_REQUIRED HTTP_TOO_MANY_REQUESTS
    HTTP_CLOSE HTTP_ILLEGAL HTTP_INTERNAL_SERVER_ERROR HTTP_METHOD_NOT_IMPLEMENTED HTTP_BAD_GATEWAY
    HTTP_SERVICE_UNAVAILABLE HTTP_GATEWAY_TIMEOUT HTTP_VERSION_NOT_SUPPORTED HTTP_INSUFFICIENT_STORAGE";

/// Those of `names` for which `type(value)`, an expression with `name` in it, is not `kind`.
fn lacking(host: &Host, names: &str, value: &str, kind: &str) -> String {
    host.say(&format!(
        "local function at(path)
            local found = getfenv(0)
            for part in path:gmatch('[^.]+') do found = found and found[part] end
            return found
         end
         for name in ([[{names}]]):gmatch('%S+') do
            local kind = type({value})
            if kind ~= '{kind}' then ngx.print(name, ' is ', kind, '\\n') end
         end"
    ))
}

/// The lines of the list: what a name belongs to, and names.
fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut owner = "";
    let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(move |line| {
        let names =
            if line.starts_with(' ') { line } else { line.split_once(':').map_or("", |(_, names)| names) };
        owner = line.split_once(':').map_or(owner, |(head, _)| head);
        (owner, names)
    })
}

#[test]
fn every_function_is_there() {
    let host = Host::new();
    for (owner, names) in lines() {
        let value = match owner.split_once(' ') {
            Some(("module", module)) if names.trim() == "()" => {
                format!("({{ ['()'] = require('{module}') }})[name]")
            }
            Some(("module", module)) => format!("require('{module}')[name]"),
            Some(("object", "dictionary")) => "ngx.shared.dogs[name]".into(),
            Some(("object", "tcp")) => "ngx.socket.tcp()[name]".into(),
            Some(("object", "udp")) => "ngx.socket.udp()[name]".into(),
            Some(("object", "semaphore")) => "require('ngx.semaphore').new()[name]".into(),
            // Those of a process, which needs one: the cases that call them do without this.
            Some(("object", _)) => continue,
            _ => "at(name)".into(),
        };
        assert_eq!(lacking(&host, names, &value, "function"), "", "{owner}");
    }
}

#[test]
fn every_constant_is_there() {
    let host = Host::new();
    assert_eq!(lacking(&host, NUMBERS, "ngx[name]", "number"), "");
    assert_eq!(
        host.say("ngx.print(type(ngx.null), ngx.IS_CLI, ngx.config.subsystem, ngx.config.debug, type(ngx.config.nginx_version))"),
        "userdatafalsehttpfalsenumber"
    );
    assert_eq!(host.say("ngx.print(type(ngx.config.nginx_configure()))"), "string");
}

#[test]
fn a_name_that_is_unknown_is_nil() {
    assert_eq!(
        Host::new().say("ngx.print(ngx.nothing, ngx.req.nothing, ngx.socket.tcp().nothing)"),
        "nilnilnil"
    );
}

#[test]
fn answers_have_more_headers_and_another_phrase() {
    let host = Host::new();
    assert_eq!(
        host.say("local resp = require 'ngx.resp' ngx.header.A = '1' resp.add_header('A', { '2', 3 })
            ngx.print(table.concat(ngx.resp.get_headers().a, ','), resp.set_status(404, 'Gone Fishing'), ngx.status)"),
        "1,2,3nil404"
    );
    assert_eq!(host.failure("require('ngx.resp').add_header('A')"), "test.lua:1: invalid header value");
    assert_eq!(host.failure("require('ngx.resp').set_status('x')"), "test.lua:1: bad status: x");
}

#[test]
fn whoever_may_yield_is_told_so() {
    assert_eq!(
        Host::new().say("ngx.print(coroutine.wrap(function() return coroutine.isyieldable() end)())"),
        "true"
    );
}

#[test]
fn tables_are_what_code_that_looks_into_them_finds_in_openresty() {
    let host = Host::new();
    assert_eq!(
        host.say(
            "local function its_own(object) local mine = getmetatable(object) return mine.__index == mine end
            ngx.print(tostring(its_own(ngx.socket.tcp())), ' ', tostring(its_own(ngx.socket.udp())), ' ',
                tostring(package.loaded['resty.core'] == require 'resty.core'), ' ',
                tostring(rawget(ngx.req, 'add_header')), ' ', type(ngx.req.add_header))"
        ),
        "true true true nil function"
    );
}
