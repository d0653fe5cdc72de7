//! Finalizers run wherever something is allocated, and nobody finds what they left behind.

use crate::support::{Host, Request};

/// Objects that are finalized by `finalizer` while the loop runs: each way there is to have one.
fn with_garbage(finalizer: &str, body: &str) -> String {
    format!(
        "local ffi = require 'ffi'
        pcall(ffi.cdef, 'struct litter {{ int x; }};')
        local runs = 0
        local function finalizer() runs = runs + 1 {finalizer} end
        package.loaded.litter = package.loaded.litter or ffi.metatype('struct litter', {{ __gc = function(...)
            return package.loaded.finalizer(...) end }})
        package.loaded.finalizer = finalizer
        local proxy = newproxy(true)
        getmetatable(proxy).__gc = finalizer
        local function litter(n)
            for i = 1, n do
                ffi.gc(ffi.new('int[1]'), finalizer)
                package.loaded.litter()
                newproxy(proxy)
            end
        end
        collectgarbage('setpause', 1) collectgarbage('setstepmul', 1000)
        {body}
        collectgarbage() collectgarbage()
        assert(runs > 0, 'no finalizer has run')
        ngx.print('well')"
    )
}

#[test]
fn what_a_call_gave_is_not_what_a_finalizer_was_given() {
    let finalizer = "
        ngx.shared.dogs:get('other') ngx.shared.dogs:incr('n', 1, 0) ngx.escape_uri('a b') ngx.md5('x')
        ngx.re.match('zzz', '(z)(z)') ngx.re.gsub('aaa', 'a', 'bb', 'jo') ngx.decode_args('x=1&y=2&z')
        ngx.req.get_headers() ngx.req.get_uri_args() ngx.encode_base64('other') ngx.parse_http_time('x')";
    let body = "
        local dogs = ngx.shared.dogs
        dogs:set('other', ('o'):rep(50), 0, 7)
        for i = 1, 3000 do
            litter(2)
            local text = 'text ' .. i
            dogs:set('k', text, 0, i)
            local value, flags = dogs:get('k')
            assert(value == text and flags == i, value)
            assert(dogs:incr('count', 1, 0) == i)
            assert(ngx.escape_uri(text) == 'text%20' .. i)
            assert(ngx.decode_base64(ngx.encode_base64(text)) == text)
            local found = ngx.re.match(text, '(te)(x)t ([0-9]+)', 'jo')
            assert(found[1] == 'te' and found[3] == tostring(i))
            assert(ngx.re.gsub(text, '[0-9]', 'n') == 'text ' .. ('n'):rep(#tostring(i)))
            local args = ngx.decode_args('a=' .. i .. '&b=x%20y')
            assert(args.a == tostring(i) and args.b == 'x y')
            assert(ngx.req.get_headers()['x-one'] == '1' and ngx.req.get_uri_args().q == 'r')
            if i % 100 == 0 then collectgarbage() end
        end";
    let host = Host::new();
    let mut request = Request::get("/?q=r").with_header("X-One", "1");
    host.answer(&with_garbage(finalizer, body), &mut request);
    assert_eq!(request.output(), "well", "{:?}", host.take_log());
}

#[test]
fn a_finalizer_cannot_change_a_header_that_is_being_set() {
    let body = "
        for i = 1, 500 do
            litter(2)
            ngx.header.A = { 'one ' .. i, 'two ' .. i, 'three ' .. i }
            local found = ngx.resp.get_headers().a
            assert(#found == 3 and found[1] == 'one ' .. i and found[3] == 'three ' .. i)
            collectgarbage('step', 10)
        end";
    let host = Host::new();
    assert_eq!(host.say(&with_garbage("pcall(function() ngx.header.A = { 'x', 'y' } end)", body)), "well");
}

#[test]
fn a_finalizer_is_the_one_that_was_given() {
    let host = Host::new();
    assert_eq!(
        host.say(
            "local ffi = require 'ffi' local seen = {}
            local function finalizer(object) seen[#seen + 1] = type(object) end
            local kept = ffi.gc(ffi.new('int[1]'), finalizer)
            ffi.gc(kept, nil) kept = nil
            ffi.gc(ffi.new('int[1]'), finalizer)
            local proxy = newproxy(true) getmetatable(proxy).__gc = finalizer getmetatable(proxy).__len = function() return 3 end
            ngx.print(#proxy, ' ') proxy = nil
            collectgarbage() collectgarbage() table.sort(seen)
            ngx.print(table.concat(seen, ' '), ' ', newproxy() ~= nil)"
        ),
        "3 cdata userdata true"
    );
    assert_eq!(
        host.failure("require('ffi').gc(1, print)"),
        "test.lua:1: bad argument #1 to 'gc' (cdata expected, got number)"
    );
}
