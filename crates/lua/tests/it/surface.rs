//! The table of everything that `ngx` offers: each name is there, as what it should be.
//!
//! What they do is tested by topic, here and where a request comes through a socket.

use crate::support::Host;

const FUNCTIONS: &str = "
    print ngx.log ngx.say ngx.print ngx.exit ngx.redirect ngx.exec ngx.flush ngx.send_headers ngx.eof ngx.get_phase
    ngx.get_raw_phase ngx.sleep ngx.on_abort ngx.run_worker_thread
    ngx.req.get_headers ngx.req.get_method ngx.req.set_method ngx.req.set_header ngx.req.clear_header
    ngx.req.get_uri_args ngx.req.set_uri_args ngx.req.get_post_args ngx.req.set_uri ngx.req.read_body
    ngx.req.discard_body ngx.req.get_body_data ngx.req.get_body_file ngx.req.set_body_data ngx.req.set_body_file
    ngx.req.init_body ngx.req.append_body ngx.req.finish_body ngx.req.http_version ngx.req.start_time ngx.req.socket
    ngx.req.raw_header ngx.req.is_internal ngx.req.add_header
    ngx.resp.get_headers ngx.resp.add_header ngx.resp.set_status ngx.resp.bypass_if_checks
    ngx.location.capture ngx.location.capture_multi
    ngx.re.match ngx.re.find ngx.re.gmatch ngx.re.sub ngx.re.gsub
    ngx.socket.tcp ngx.socket.connect ngx.socket.stream ngx.socket.udp
    ngx.thread.spawn ngx.thread.wait ngx.thread.kill
    ngx.timer.at ngx.timer.every ngx.timer.running_count ngx.timer.pending_count
    ngx.now ngx.time ngx.update_time ngx.today ngx.localtime ngx.utctime ngx.http_time ngx.cookie_time
    ngx.parse_http_time
    ngx.worker.id ngx.worker.pid ngx.worker.pids ngx.worker.count ngx.worker.exiting
    ngx.config.prefix ngx.config.nginx_configure
    ngx.escape_uri ngx.unescape_uri ngx.encode_args ngx.decode_args ngx.encode_base64 ngx.decode_base64
    ngx.decode_base64mime ngx.md5 ngx.md5_bin ngx.sha1_bin ngx.hmac_sha1 ngx.crc32_short ngx.crc32_long
    ngx.quote_sql_str
    coroutine.create coroutine.resume coroutine.yield coroutine.wrap coroutine.running coroutine.status
    coroutine.isyieldable";

const MODULES: &[(&str, &str)] = &[
    ("bit", "band bor bxor bnot lshift rshift arshift rol ror bswap tobit tohex"),
    (
        "cjson",
        "encode decode new encode_sparse_array encode_max_depth decode_max_depth encode_number_precision",
    ),
    ("cjson.safe", "encode decode new"),
    ("ffi", "cdef new cast string copy fill typeof metatype gc sizeof"),
    (
        "ngx.balancer",
        "set_current_peer set_more_tries get_last_failure set_timeouts enable_keepalive recreate_request \
         set_upstream_tls",
    ),
    ("ngx.base64", "encode_base64url decode_base64url"),
    ("ngx.errlog", "set_filter_level get_logs get_sys_filter_level raw_log"),
    (
        "ngx.ocsp",
        "get_ocsp_responder_from_der_chain create_ocsp_request validate_ocsp_response set_ocsp_status_resp",
    ),
    ("ngx.pipe", "spawn"),
    ("ngx.process", "type get_master_pid enable_privileged_agent signal_graceful_exit"),
    ("ngx.re", "opt split"),
    ("ngx.req", "add_header"),
    ("ngx.resp", "add_header set_status bypass_if_checks"),
    ("ngx.semaphore", "new"),
    (
        "ngx.ssl",
        "parse_pem_cert parse_der_cert parse_pem_priv_key parse_der_priv_key cert_pem_to_der priv_key_pem_to_der \
         set_cert set_priv_key set_der_cert set_der_priv_key clear_certs server_name server_port raw_server_addr \
         raw_client_addr get_tls1_version get_tls1_version_str verify_client get_client_random",
    ),
    (
        "ngx.ssl.clienthello",
        "get_client_hello_server_name get_supported_versions get_client_hello_ext set_protocols",
    ),
    ("ngx.ssl.session", "get_serialized_session get_session_id set_serialized_session"),
    (
        "resty.core.base",
        "new_tab clear_tab get_string_buf get_string_buf_size set_string_buf_size get_size_ptr get_errmsg_ptr \
         get_request ref_in_table allows_subsystem",
    ),
    ("resty.lrucache", "new"),
    ("resty.random", "bytes"),
    ("resty.sha256", "new"),
    ("resty.string", "to_hex atoi"),
    ("string.buffer", "new encode decode"),
];

const DICTIONARY: &str = "get get_stale set safe_set add safe_add replace delete incr lpush rpush lpop rpop llen ttl \
    expire flush_all flush_expired get_keys capacity free_space";

const TCP: &str = "connect sslhandshake tlshandshake setclientcert send receive receiveany receiveuntil close settimeout \
    settimeouts setoption getoption setkeepalive getreusedtimes bind";

const UDP: &str = "bind setpeername send receive close settimeout";

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

#[test]
fn every_function_is_there() {
    let host = Host::new();
    assert_eq!(lacking(&host, FUNCTIONS, "at(name)", "function"), "");
    assert_eq!(lacking(&host, DICTIONARY, "ngx.shared.dogs[name]", "function"), "");
    assert_eq!(lacking(&host, TCP, "ngx.socket.tcp()[name]", "function"), "");
    assert_eq!(lacking(&host, UDP, "ngx.socket.udp()[name]", "function"), "");
}

#[test]
fn every_module_is_there_with_its_functions() {
    let host = Host::new();
    for (module, functions) in MODULES {
        let value = format!("require('{module}')[name]");
        assert_eq!(lacking(&host, functions, &value, "function"), "", "{module}");
    }
    for function in ["new", "clear", "nkeys", "isempty", "isarray", "clone"] {
        assert_eq!(lacking(&host, function, "require('table.' .. name)", "function"), "");
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
