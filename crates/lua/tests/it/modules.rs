//! Modules that come with the host.

use std::time::Duration;

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
    host.vm.set_now(NOW + Duration::from_secs(6));
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
fn the_log_has_lines_as_they_are_and_a_level_that_scripts_lower() {
    let host = Host::new();
    assert_eq!(
        host.say(
            "local e = require 'ngx.errlog' e.raw_log(ngx.WARN, 'raw')
            ngx.print(e.set_filter_level(ngx.ERR)) ngx.log(ngx.WARN, 'dropped') ngx.log(ngx.ERR, 'kept')
            ngx.print(e.get_sys_filter_level() == ngx.DEBUG, e.set_filter_level(99)) ngx.print(e.get_logs())"
        ),
        "truetruenilbad log level: 99nildirective \"lua_capture_error_log\" is not set"
    );
    let lines: Vec<_> = host.take_log().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "raw");
    assert!(lines[1].ends_with("kept"), "{lines:?}");
    assert!(
        host.failure("require('ngx.errlog').raw_log('x')")
            .ends_with("bad argument #1 to 'raw_log' (must be a number)")
    );
    assert!(
        host.failure("require('ngx.errlog').raw_log(1)")
            .ends_with("bad argument #2 to 'raw_log' (must be a string)")
    );
}

#[test]
fn a_process_is_a_worker() {
    assert_eq!(
        run(
            "local p = require 'ngx.process' ngx.print(p.type(), p.get_master_pid() == ngx.worker.pid(), (p.enable_privileged_agent()))"
        ),
        "workertruenil"
    );
}

#[test]
fn certificates_are_parsed_and_what_needs_tls_with_clients_says_so() {
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
            ngx.print((require('ngx.ocsp').create_ocsp_request()), (require('ngx.ssl.session').get_session_id()),
                (require('ngx.ssl.clienthello').get_supported_versions()))"
        )),
        "truecdatacdata cdatacdata nilPEM_read_bio_X509_AUX() failednilPEM_read_bio_PrivateKey() failednild2i_X509() failed \
         nilbad ssl conn: listeners of Tidegate do not speak TLS yetnilnilnil"
    );
}
