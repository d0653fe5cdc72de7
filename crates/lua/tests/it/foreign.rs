//! C functions that libraries look for by `ffi.C`.

use tidegate_lua::{Level, Statistics};

use crate::support::Host;

fn run(source: &str) -> String {
    Host::new().say(&format!("local ffi = require 'ffi' local C = ffi.C {source}"))
}

#[test]
fn functions_of_nginx_are_found() {
    assert_eq!(
        run(r#"ffi.cdef "unsigned char *ngx_hex_dump(unsigned char *, const unsigned char *, size_t);"
            local b = ffi.new("unsigned char[6]")
            ngx.print(C.ngx_hex_dump(b, "\1\xab\xff", 3) - b, ffi.string(b, 6))"#),
        "601abff"
    );
    assert_eq!(
        run(r#"ffi.cdef "intptr_t ngx_atoi(const unsigned char *, size_t);"
            ngx.print(tonumber(C.ngx_atoi("042", 3)), tonumber(C.ngx_atoi("4x", 2)), tonumber(C.ngx_atoi("", 0)))"#),
        "42-1-1"
    );
    assert_eq!(
        run(
            r#"ffi.cdef "typedef struct { size_t len; const unsigned char *data; } name_t; intptr_t ngx_parse_time(name_t *, unsigned);"
            local function parse(text, seconds)
                return tonumber(C.ngx_parse_time(ffi.new("name_t", { #text, text }), seconds))
            end
            ngx.print(parse("1h30m", 1), " ", parse("1s500ms", 0), " ", parse("later", 1))"#
        ),
        "5400 1500 -1"
    );
    assert_eq!(
        run(
            r#"ffi.cdef "uintptr_t ngx_escape_uri(unsigned char *, const unsigned char *, size_t, uintptr_t);"
            local text = "a b/c"
            local n = tonumber(C.ngx_escape_uri(nil, text, #text, 2))
            local b = ffi.new("unsigned char[?]", #text + 2 * n)
            C.ngx_escape_uri(b, text, #text, 2) ngx.print(n, ffi.string(b, #text + 2 * n))"#
        ),
        "2a%20b%2Fc"
    );
}

#[test]
fn counters_of_nginx_are_found() {
    let names = ["accepted", "handled", "requests", "active", "reading", "writing", "waiting"];
    Statistics { accepted: 9, requests: 20, active: 3, writing: 1 }.publish();
    let read = format!(
        "for name in ('{}'):gmatch('%a+') do
            ffi.cdef('uint64_t *ngx_stat_' .. name .. ';')
            ngx.print(tonumber(C['ngx_stat_' .. name][0]), ' ')
        end",
        names.join(" ")
    );
    assert_eq!(run(&read), "9 9 20 3 0 1 2 ");
}

#[test]
fn a_table_of_the_context_is_found_by_its_number() {
    let read = "local base = require 'resty.core.base'
        local handshake, of_it = ffi.new('int[1]', 7), ffi.new('int[1]', 7)
        local function number() return C.ngx_http_lua_ffi_get_ctx_ref(base.get_request(), handshake, of_it) end";
    assert_eq!(
        run(&format!(
            "{read} ngx.print(number(), ' ', handshake[0], ' ') ngx.ctx.mine = 'yes'
            ngx.print(debug.getregistry().ngx_lua_ctx_tables[number()].mine, ' ', of_it[0])"
        )),
        "-2 0 yes -2"
    );
    assert_eq!(run("ngx.print(C.ngx_http_lua_ffi_get_ctx_ref(nil, nil, nil))"), "-100");
}

#[test]
fn a_line_goes_to_the_log_as_it_is() {
    let host = Host::new();
    let said = host.say(
        r#"local ffi = require "ffi"
        ffi.cdef "int ngx_http_lua_ffi_raw_log(void *, int, const unsigned char *, size_t);"
        ngx.print(ffi.C.ngx_http_lua_ffi_raw_log(nil, ngx.WARN, "raw line", 8))
        ngx.print(ffi.C.ngx_http_lua_ffi_raw_log(nil, 99, "raw line", 8))"#,
    );
    assert_eq!(said, "0-1");
    let log = host.take_log();
    assert_eq!(
        log.iter().map(|line| (line.0, line.1.as_str())).collect::<Vec<_>>(),
        [(Level::Warn, "raw line")]
    );
}

#[test]
fn options_of_keys_are_set_by_number() {
    assert_eq!(
        run(r#"ffi.cdef [[
                typedef struct evp_pkey_ctx_st EVP_PKEY_CTX; typedef struct engine_st ENGINE;
                EVP_PKEY_CTX *EVP_PKEY_CTX_new(EVP_PKEY *, ENGINE *); int EVP_PKEY_encrypt_init(EVP_PKEY_CTX *);
                int EVP_PKEY_CTX_ctrl(EVP_PKEY_CTX *, int, int, int, int, void *); void EVP_PKEY_CTX_free(EVP_PKEY_CTX *);
            ]]
            local key = require("resty.openssl.pkey").new()
            local context = C.EVP_PKEY_CTX_new(key.ctx, nil)
            C.EVP_PKEY_encrypt_init(context)
            ngx.print(C.EVP_PKEY_CTX_ctrl(context, 6, -1, 0x1001, 4, nil), C.EVP_PKEY_CTX_ctrl(context, 6, -1, 0x1fff, 4, nil))
            C.EVP_PKEY_CTX_free(context)"#
            .replacen("ffi.cdef", "require 'resty.openssl' ffi.cdef", 1)
            .as_str()),
        "1-2"
    );
}

/// As lua-resty-string and lua-resty-jwt use them.
#[test]
fn functions_of_openssl_are_found() {
    assert_eq!(
        run(r#"ffi.cdef [[
                typedef struct env_md_st EVP_MD;
                const EVP_MD *EVP_sha256(void);
                EVP_MD *EVP_get_digestbyname(const char *name);
                typedef struct { unsigned int state[64]; } SHA_STATE;
                int SHA256_Init(SHA_STATE *); int SHA256_Update(SHA_STATE *, const void *, size_t);
                int SHA256_Final(unsigned char *, SHA_STATE *);
            ]]
            local state, out = ffi.new("SHA_STATE"), ffi.new("unsigned char[32]")
            C.SHA256_Init(state) C.SHA256_Update(state, "abc", 3) C.SHA256_Final(out, state)
            ngx.print(C.EVP_sha256() == C.EVP_get_digestbyname("SHA256"), require("resty.string").to_hex(ffi.string(out, 4)))"#),
        "trueba7816bf"
    );
}
