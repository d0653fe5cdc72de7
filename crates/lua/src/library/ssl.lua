-- ngx.ssl: certificates and keys; and what there is of TLS with clients.
--
-- A certificate is a stack of them, a key is one of OpenSSL's, as in OpenResty; both are pointers without a type.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local tonumber = tonumber

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
    openssl.ERR_clear_error()
    if openssl.OPENSSL_sk_num(chain) == 0 then
        return nil, what .. " failed"
    end
    return chain
end

function module.parse_pem_cert(pem)
    local source = openssl.reader(pem)
    return chain_of(function()
        return openssl.PEM_read_bio_X509(source, nil, nil, nil)
    end, "PEM_read_bio_X509_AUX()")
end

function module.parse_der_cert(der)
    local at = ffi.new "const char *[1]"
    at[0] = der
    local start = ffi.cast("const char *", der)
    return chain_of(function()
        local left = #der - (at[0] - start)
        if left <= 0 then
            return nil
        end
        return openssl.d2i_X509(nil, at, left)
    end, "d2i_X509()")
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

-- Listeners do not speak TLS, so no client does.
local MISSING = "bad ssl conn: listeners of Tidegate do not speak TLS yet"
for _, name in ipairs {
    "set_der_cert", "set_der_priv_key", "set_cert", "set_priv_key", "clear_certs", "raw_server_addr", "raw_client_addr",
    "server_name", "server_port", "get_tls1_version", "get_tls1_version_str", "verify_client", "get_client_random",
    "get_shared_ssl_ciphers", "export_keying_material", "export_keying_material_early", "get_req_ssl_pointer",
    "get_server_random", "get_session_id",
} do
    module[name] = function()
        return nil, MISSING
    end
end
module.MISSING = MISSING


return module
