//! Modules that come with the host.

use std::{sync::Arc, time::Duration};

use tidegate_lua::{Level, LogRing};

use crate::support::{Host, NOW};

fn run(source: &str) -> String {
    Host::new().say(source)
}

#[test]
fn tables_have_openresty_s_functions() {
    assert_eq!(
        run("local f = require 'table.isempty' ngx.print(f({}), f({ 1 }), f({ a = 1 }))"),
        "truefalsefalse"
    );
    assert_eq!(run("local f = require 'table.nkeys' ngx.print(f({}), f({ 1, nil, 3, a = 1 }))"), "03");
    assert_eq!(
        run(
            "local f = require 'table.isarray' ngx.print(f({}), f({ 1, [5] = 1 }), f({ a = 1 }), f({ [0] = 1 }))"
        ),
        "truetruefalsefalse"
    );
    assert_eq!(
        run(
            "local t = { 1, a = {} } local c = require('table.clone')(t) ngx.print(c ~= t, c[1], c.a == t.a)"
        ),
        "true1true"
    );
    assert_eq!(
        Host::new().failure("require('table.nkeys')(nil)"),
        "test.lua:1: bad argument #1 to 'nkeys' (table expected, got nil)"
    );
}

#[test]
fn sql_strings_are_quoted() {
    assert_eq!(run(r#"ngx.print(ngx.quote_sql_str("a\0\b\n\r\t\26\\'\""))"#), r#"'a\0\b\n\r\t\Z\\\'\"'"#);
    assert_eq!(run("ngx.print(ngx.quote_sql_str(12), ngx.quote_sql_str(''))"), "'12'''");
}

#[test]
fn base64_for_urls_has_its_own_alphabet() {
    assert_eq!(
        run(r#"local b = require "ngx.base64" local t = "a?>\xff\xfe"
            ngx.print(b.encode_base64url(t), b.decode_base64url("YT8-__4") == t)"#),
        "YT8-__4true"
    );
    assert_eq!(run(r#"ngx.print(require("ngx.base64").decode_base64url("YT8+"))"#), "nilinvalid input");
    assert_eq!(run(r#"ngx.print(require("ngx.base64").encode_base64url(1))"#), "nilmust provide a string");
}

#[test]
fn the_cache_forgets_what_was_used_longest_ago() {
    assert_eq!(
        run("local c = require('resty.lrucache').new(2)
            c:set('a', 1) c:set('b', 2) c:get('a') c:set('c', 3)
            ngx.print(c:get('a'), c:get('b'), c:get('c'), c:count(), c:capacity(), ' ', table.concat(c:get_keys(), ','))
            c:delete('a') ngx.print(c:get('a'), c:count()) c:flush_all() ngx.print(c:count(), c:get('c'))"),
        "1nil322 c,anil10nil"
    );
    assert_eq!(run("ngx.print(require('resty.lrucache').new(0))"), "nilsize too small");
}

#[test]
fn entries_of_the_cache_expire() {
    let host = Host::new();
    host.say("local c = require('resty.lrucache').new(2) package.loaded.c = c c:set('a', 1, 5, 7)");
    assert_eq!(host.say("ngx.print(package.loaded.c:get('a'))"), "1nil7");
    host.pass(Duration::from_secs(6));
    assert_eq!(host.say("ngx.print(package.loaded.c:get('a'))"), "nil17");
}

#[test]
fn libraries_find_resty_core() {
    assert_eq!(
        run("local base = require 'resty.core.base' require 'resty.core' require 'resty.core.shdict'
            ngx.print(#base.new_tab(4, 0), base.get_string_buf(10) ~= nil, base.get_size_ptr()[0] == 0, base.FFI_OK)"),
        "0truetrue0"
    );
}

#[test]
fn the_base_has_buffers_and_places_for_values() {
    assert_eq!(
        run("local base = require 'resty.core.base' local ffi = require 'ffi'
            ngx.print(base.get_string_buf(9) == base.get_string_buf(9), base.get_string_buf(9, true) == base.get_string_buf(9))
            ngx.print(base.get_string_buf_size()) base.set_string_buf_size(7.5) base.set_string_buf_size(0)
            ngx.print(base.get_string_buf_size(), base.get_errmsg_ptr()[0] == nil, ' ')
            local places = {} ngx.print(base.ref_in_table(places, 'a'), base.ref_in_table(places, 'b'), base.ref_in_table(places, nil))
            places[1], places[0] = 0, 1 ngx.print(base.ref_in_table(places, 'c'), places[1], base.ref_in_table(places, 'd'), ' ')
            ngx.print(base.get_request() ~= nil, base.allows_subsystem('stream', 'http'), pcall(base.allows_subsystem, 'stream'))
            ngx.print(ffi.sizeof 'ngx_str_t')"),
        "truefalse40968true 12-11c3 truenilfalseunsupported subsystem: http16"
    );
}

#[test]
fn parts_of_resty_core_have_what_only_they_have() {
    let host = Host::new();
    assert_eq!(
        host.say(
            "local own = {} local get = require('resty.core.ctx').get_ctx_table
            ngx.print(get(own) == own, get() == own, get({}) == own, ngx.ctx == own)"
        ),
        "truetruetruetrue"
    );
    assert_eq!(
        host.say(
            "local misc, shown = require 'resty.core.misc', {}
            misc.register_ngx_magic_key_getter('apple', function() return shown[1] or 'none' end)
            misc.register_ngx_magic_key_setter('apple', function(value) shown[1] = value end)
            ngx.print(ngx.apple) ngx.apple = 'red' ngx.print(ngx.apple)"
        ),
        "nonered"
    );
    assert_eq!(
        host.say("local regex = require 'resty.core.regex' ngx.print(regex.is_regex_cache_empty())
            ngx.re.match('a', 'a', 'o') ngx.print(regex.is_regex_cache_empty(), regex.get_max_regex_cache_size())"),
        "truefalse1024"
    );
    assert_eq!(
        host.say("local replace = require('resty.core.utils').str_replace_char
            ngx.print(replace('a_b_', '_', '-'), replace('ab', '_', '-'), replace('a.0', '.', '%'), replace('h0', '02', '12'))"),
        "a-b-aba%0h0"
    );
    assert_eq!(
        host.say(
            "local time = require 'resty.core.time' local before = time.monotonic_time()
            ngx.print(before <= time.monotonic_time(), time.monotonic_msec() % 1)"
        ),
        "true0"
    );
}

#[test]
fn the_log_has_raw_lines() {
    let host = Host::new();
    host.say("require('ngx.errlog').raw_log(ngx.WARN, 'raw')");
    assert_eq!(host.take_log(), [(Level::Warn, "raw".into())]);
    let failure = |arguments| host.failure(&format!("require('ngx.errlog').raw_log({arguments})"));
    assert_eq!(failure("'x'"), "test.lua:1: bad argument #1 to 'raw_log' (must be a number)");
    assert_eq!(failure("1"), "test.lua:1: bad argument #2 to 'raw_log' (must be a string)");
    assert_eq!(failure("9, 'x'"), "test.lua:1: bad log level");
}

#[test]
fn lines_are_not_kept_unless_configured() {
    assert_eq!(
        run(
            "local e = require 'ngx.errlog' ngx.print(e.get_logs()) ngx.print(e.set_filter_level(ngx.ERR)) ngx.print(e.set_filter_level())"
        ),
        "nildirective \"lua_capture_error_log\" is not setnildirective \"lua_capture_error_log\" is not set\
         nilmissing \"level\" argument"
    );
    let host = Host::new();
    host.vm.set_log_level(Level::Warn);
    assert_eq!(host.say("ngx.print(require('ngx.errlog').get_sys_filter_level() == ngx.WARN)"), "true");
}

#[test]
fn kept_lines_are_taken_out_oldest_first() {
    let host = Host::new();
    let ring = Arc::new(LogRing::new(4096));
    host.vm.set_log_ring(Arc::clone(&ring));
    for (level, line) in [(Level::Error, "first"), (Level::Warn, "second"), (Level::Error, "third")] {
        ring.push(level, NOW, line);
    }
    assert_eq!(
        host.say(
            "local e = require 'ngx.errlog' local logs = e.get_logs(2)
            ngx.print(table.concat(logs, ' '), ' ', logs[2] == ngx.now(), ' ')
            ngx.print(e.get_logs(2, logs) == logs, logs[3], logs[4], #e.get_logs(), e.set_filter_level(ngx.ERR), e.set_filter_level(9))"
        ),
        "4 1777636800.123 first 5 1777636800.123 second true truethirdnil0truenilbad log level: 9"
    );
    ring.push(Level::Warn, NOW, "dropped");
    assert_eq!(host.say("ngx.print(#require('ngx.errlog').get_logs())"), "0");
}

#[test]
fn a_process_is_a_worker() {
    assert_eq!(
        run(
            "local p = require 'ngx.process' ngx.print(p.type(), p.get_master_pid() > 0, (p.enable_privileged_agent()))"
        ),
        "workertruenil"
    );
    assert_eq!(
        run("ngx.print(require('ngx.process').signal_graceful_exit())"),
        "nila worker does not end by itself: send SIGTERM to the process"
    );
}

#[test]
fn certificates_are_parsed_and_what_needs_a_client_with_tls_says_so() {
    let pem = include_str!("openssl/certificate.pem");
    assert_eq!(
        run(&format!(
            "local ssl = require 'ngx.ssl' local pem = [[{pem}]]
            local der = ssl.cert_pem_to_der(pem .. pem)
            ngx.print(#der == 2 * #ssl.cert_pem_to_der(pem), type(ssl.parse_der_cert(der)), type(ssl.parse_pem_cert(pem)), ' ')
            local key = require('resty.openssl.pkey').new {{ type = 'EC' }}
            local private = key:to_PEM 'private'
            ngx.print(type(ssl.parse_pem_priv_key(private)), type(ssl.parse_der_priv_key(ssl.priv_key_pem_to_der(private))), ' ')
            ngx.print(ssl.parse_pem_cert 'x') ngx.print(ssl.parse_pem_priv_key 'x') ngx.print(ssl.parse_der_cert 'x') ngx.print(' ', ssl.server_name())
            ngx.print(type(require('ngx.ocsp').create_ocsp_request(der)), (require('ngx.ssl.session').get_session_id()),
                (pcall(require('ngx.ssl.clienthello').get_supported_versions)))"
        )),
        "truecdatacdata cdatacdata nilPEM_read_bio_X509_AUX() failednilPEM_read_bio_PrivateKey() failednild2i_X509() failed \
         nilbad requeststringnilfalse"
    );
}

#[test]
fn keys_become_der_and_back_and_what_is_none_is_told() {
    assert_eq!(
        run("local ssl = require 'ngx.ssl'
            local key = require('resty.openssl.pkey').new { type = 'EC' }
            local pem, der = key:to_PEM 'private', ssl.priv_key_pem_to_der(key:to_PEM 'private')
            local again = require('resty.openssl.pkey').new(der)
            ngx.print(again:to_PEM 'private' == pem, der:byte() == 0x30)
            ngx.print(' ', ssl.priv_key_pem_to_der 'x') ngx.print(' ', ssl.parse_der_priv_key 'x')
            ngx.print(' ', ssl.cert_pem_to_der(pem)) ngx.print(' ', ssl.TLS1_2_VERSION, ssl.TLS1_3_VERSION)"),
        "truetrue nilPEM_read_bio_PrivateKey() failed nild2i_PrivateKey() failed \
         nilPEM_read_bio_X509_AUX() failed 771772"
    );
}

#[test]
fn a_key_that_is_encrypted_needs_its_passphrase() {
    assert_eq!(
        run("local ssl, openssl = require 'ngx.ssl', require 'tidegate.openssl'
            local key = require('resty.openssl.pkey').new { type = 'EC' }
            local pem = openssl.written(function(memory)
                local cipher = openssl.EVP_get_cipherbyname 'aes-256-cbc'
                return openssl.PEM_write_bio_PrivateKey(memory, key.ctx, cipher, 'secret', 6, nil, nil)
            end)
            ngx.print(pem:match 'BEGIN ENCRYPTED PRIVATE KEY', ' ')
            ngx.print(ssl.priv_key_pem_to_der(pem, 'secret') == ssl.priv_key_pem_to_der(key:to_PEM 'private'), ' ')
            ngx.print(ssl.parse_pem_priv_key(pem, 'wrong')) ngx.print(' ', ssl.parse_pem_priv_key(pem))"),
        "BEGIN ENCRYPTED PRIVATE KEY true nilPEM_read_bio_PrivateKey() failed nilPEM_read_bio_PrivateKey() failed"
    );
}

/// Each answers what is missing instead of raising, so that code which falls back can.
#[test]
fn what_handshakes_do_not_have_says_so() {
    let source = "local module = require 'ngx.ssl'
         local names = 'get_server_random get_session_id get_shared_ssl_ciphers get_req_ssl_pointer export_keying_material_early'
         for name in names:gmatch('%S+') do
            local value, why = module[name]('x')
            if value ~= nil or why ~= module.MISSING then
                ngx.say(name, ' gives ', value, ' ', why)
            end
         end";
    assert_eq!(run(source), "");
}

#[test]
fn bits_are_those_of_32_bit_numbers() {
    for (call, value) in [
        ("band(0x12345678, 0xff)", "120"),
        ("bor(1, 2, 4, 8)", "15"),
        ("bxor(0xa5a5f0f0, 0xaa55ff00)", "267390960"),
        ("bnot(0)", "-1"),
        ("lshift(1, 31)", "-2147483648"),
        ("lshift(1, 32)", "1"),
        ("rshift(-256, 8)", "16777215"),
        ("arshift(-256, 8)", "-1"),
        ("rol(0x12345678, 12)", "1164411171"),
        ("ror(0x12345678, 12)", "1736516421"),
        ("bswap(0x12345678)", "2018915346"),
        ("tobit(0xffffffff + 2)", "1"),
        ("tohex(255)", "000000ff"),
        ("tohex(-1, -4)", "FFFF"),
    ] {
        assert_eq!(run(&format!("ngx.print((require('bit').{call}))")), value, "{call}");
    }
    for name in [
        "band", "bor", "bxor", "bnot", "lshift", "rshift", "arshift", "rol", "ror", "bswap", "tobit", "tohex",
    ] {
        let said = Host::new().failure(&format!("local _ = require('bit').{name}({{}}, 1)"));
        assert_eq!(said, format!("test.lua:1: bad argument #1 to '{name}' (number expected, got table)"));
    }
}

#[test]
fn a_table_is_cleared_where_it_is() {
    assert_eq!(
        run("local base = require 'resty.core.base' local t = { 1, 2, a = 3, [{}] = 4 } local same = t
            base.clear_tab(t) ngx.print(next(t), #t, same == t, ' ') t[1] = 5 ngx.print(same[1], ' ')
            ngx.print((pcall(base.clear_tab, nil)))"),
        "nil0true 5 false"
    );
}
