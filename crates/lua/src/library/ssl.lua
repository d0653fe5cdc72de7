-- ngx.ssl: certificates and keys, and clients that speak TLS.
--
-- A certificate is a stack of them, a key is one of OpenSSL's, as in OpenResty; both are pointers without a type.

local kit = ...

local bit = require "bit"
local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local error, ipairs, tonumber = error, ipairs, tonumber
local sub = string.sub

local module = {
    version = "0.1.31", SSL3_VERSION = 0x0300, TLS1_VERSION = 0x0301, TLS1_1_VERSION = 0x0302, TLS1_2_VERSION = 0x0303,
    TLS1_3_VERSION = 0x0304,
}

local function free_chain(chain)
    for index = 0, tonumber(openssl.OPENSSL_sk_num(chain)) - 1 do
        openssl.X509_free(openssl.OPENSSL_sk_value(chain, index))
    end
    openssl.OPENSSL_sk_free(chain)
end

-- A chain of what `read` finds, one after the other; or nil and why not.
local function chain_of(read, what)
    local chain = ffi.gc(openssl.OPENSSL_sk_new_null(), free_chain)
    local found = read()
    while found ~= nil do
        openssl.OPENSSL_sk_push(chain, found)
        found = read()
    end
    local failure = openssl.ERR_peek_last_error()
    openssl.ERR_clear_error()
    if openssl.OPENSSL_sk_num(chain) == 0 then
        return nil, what .. " failed"
    end
    return chain, failure
end

-- That PEM ends, and not in the middle: its library and reason in an error's number.
local PEM, NO_START_LINE = 9, 110

function module.parse_pem_cert(pem)
    local source = openssl.reader(pem)
    local chain, failure = chain_of(function()
        return openssl.PEM_read_bio_X509(source, nil, nil, nil)
    end, "PEM_read_bio_X509_AUX()")
    if not chain then
        return nil, failure
    end
    if failure ~= 0 and (bit.rshift(failure, 24) ~= PEM or bit.band(failure, 0xfff) ~= NO_START_LINE) then
        return nil, "PEM_read_bio_X509() failed"
    end
    return chain
end

function module.parse_der_cert(der)
    local at = ffi.new "const char *[1]"
    at[0] = der
    local start = ffi.cast("const char *", der)
    local chain, failure = chain_of(function()
        local left = #der - (at[0] - start)
        if left <= 0 then
            return nil
        end
        return openssl.d2i_X509(nil, at, left)
    end, "d2i_X509()")
    if not chain then
        return nil, failure
    end
    return chain
end

local function key(found, what)
    openssl.ERR_clear_error()
    if found == nil then
        return nil, what .. " failed"
    end
    return ffi.gc(found, openssl.EVP_PKEY_free)
end

function module.parse_pem_priv_key(pem, passphrase)
    local password = ffi.cast("void *", ffi.cast("const char *", passphrase or ""))
    return key(openssl.PEM_read_bio_PrivateKey(openssl.reader(pem), nil, nil, password), "PEM_read_bio_PrivateKey()")
end

function module.parse_der_priv_key(der)
    local at = ffi.new "const char *[1]"
    at[0] = der
    return key(openssl.d2i_AutoPrivateKey(nil, at, #der), "d2i_PrivateKey()")
end

function module.cert_pem_to_der(pem)
    local chain, why = module.parse_pem_cert(pem)
    if not chain then
        return nil, why
    end
    local parts = {}
    for index = 0, tonumber(openssl.OPENSSL_sk_num(chain)) - 1 do
        parts[index + 1] = openssl.der("i2d_X509", openssl.OPENSSL_sk_value(chain, index))
    end
    return table.concat(parts)
end

function module.priv_key_pem_to_der(pem, passphrase)
    local found, why = module.parse_pem_priv_key(pem, passphrase)
    if not found then
        return nil, why
    end
    return openssl.der("i2d_PrivateKey", found)
end

local host, given, block = kit.host, kit.given, kit.block
local MISSING, NO_REQUEST = kit.MISSING, kit.NO_REQUEST
local hello_name, hello_address = kit.C.hello_name, kit.C.hello_address
local hello_version, hello_random = kit.C.hello_version, kit.C.hello_random
local choosing_clear, choosing_add, choosing_set_key = kit.C.choosing_clear, kit.C.choosing_add, kit.C.choosing_set_key

local reasons = {
    [1] = "bad request", -- The client does not speak TLS.
    [2] = "bad ssl conn: the certificate can be chosen in ssl_certificate_by_lua* only",
    [3] = "SSL_use_PrivateKey() failed",
    [4] = "d2i_PrivateKey_bio() failed",
    [7] = "SSL_export_keying_material() failed",
}

local function answer(code, ...)
    if code == 0 then
        return ...
    elseif code == NO_REQUEST then
        error("no request found", 3)
    elseif code ~= MISSING then
        return nil, reasons[code]
    end
    return nil
end

function module.clear_certs()
    return answer(choosing_clear(host), true)
end

function module.set_cert(chain)
    local code = 0
    for index = 0, tonumber(openssl.OPENSSL_sk_num(chain)) - 1 do
        local der = openssl.der("i2d_X509", openssl.OPENSSL_sk_value(chain, index))
        code = choosing_add(host, der, #der, index == 0 and 1 or 0)
        if code ~= 0 then
            break
        end
    end
    return answer(code, true)
end

function module.set_der_cert(der)
    local chain = module.parse_der_cert(der)
    if not chain then
        return nil, "d2i_X509_bio() failed"
    end
    return module.set_cert(chain)
end

function module.set_der_priv_key(der)
    return answer(choosing_set_key(host, der, #der), true)
end

function module.set_priv_key(key_)
    return module.set_der_priv_key(openssl.der("i2d_PrivateKey", key_))
end

local choosing_ask, choosing_trust = kit.C.choosing_ask, kit.C.choosing_trust

local function trust(chain)
    for index = 0, tonumber(openssl.OPENSSL_sk_num(chain)) - 1 do
        local der = openssl.der("i2d_X509", openssl.OPENSSL_sk_value(chain, index))
        choosing_trust(host, der, #der)
    end
end

-- Asks the client for a certificate, which `certificates` or `trusted` vouch for, or else what the configuration trusts.
-- Whether it has one, and a good one, `$ssl_client_verify` tells.
function module.verify_client(certificates, _, trusted)
    local code = choosing_ask(host)
    if code == 0 then
        if certificates then
            trust(certificates)
        end
        if trusted then
            trust(trusted)
        end
    end
    return answer(code, true)
end

function module.server_name()
    local code = hello_name(host)
    return answer(code, code == 0 and given())
end

local function address(of_client)
    local code = hello_address(host, of_client)
    local bytes = code == 0 and given()
    local kind = bytes and (block.number < 0 and "unix" or #bytes == 4 and "inet" or "inet6")
    return answer(code, bytes, kind)
end

function module.raw_server_addr()
    return address(0)
end

function module.raw_client_addr()
    return address(1)
end

function module.server_port()
    local code = hello_address(host, 0)
    if code == 0 and block.number < 0 then
        return nil, "unix domain has no port"
    end
    return answer(code, block.number)
end

function module.get_tls1_version()
    return answer(hello_version(host), block.number)
end

local versions = { [module.TLS1_2_VERSION] = "TLSv1.2", [module.TLS1_3_VERSION] = "TLSv1.3" }

function module.get_tls1_version_str()
    return answer(hello_version(host), versions[block.number])
end

-- As many bytes of it as are asked for; 0 asks how many there are.
function module.get_client_random(length)
    local code = hello_random(host)
    local bytes = code == 0 and given() or ""
    if length == 0 then
        return answer(code, #bytes)
    end
    return answer(code, sub(bytes, 1, length or -1))
end

local export_key = kit.C.export_key

-- Bytes that only both ends of the connection can make, for protocols on top of it (RFC 5705).
function module.export_keying_material(length, label, context)
    local code = export_key(host, length, label, #label, context or "", #(context or ""), context and 1 or 0)
    return answer(code, code == 0 and given())
end

local function missing(names, why)
    for _, name in ipairs(names) do
        module[name] = function()
            return nil, why
        end
    end
end

module.MISSING = "there is no such phase, and no such part of a handshake, here"
missing({
    "get_shared_ssl_ciphers", "export_keying_material_early", "get_req_ssl_pointer", "get_server_random",
    "get_session_id",
}, module.MISSING)

return module
