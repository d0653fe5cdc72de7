-- resty.openssl.x509: reading certificates.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local getmetatable, setmetatable, tonumber, type = getmetatable, setmetatable, tonumber, type

local ALTERNATIVE_NAMES = 85

local methods = {}
local metatable = { __index = methods }

local function wrap(pointer)
    return setmetatable({ ctx = openssl.own("X509 *", pointer, "X509_free") }, metatable)
end

function methods.istype(value)
    return type(value) == "table" and getmetatable(value) == metatable
end

function methods.dup(pointer)
    local copy = openssl.X509_dup(pointer)
    if copy == nil then
        return nil, openssl.failure "x509.dup"
    end
    return wrap(copy)
end

-- From PEM or DER; the format is found out unless it is told.
function methods.new(text, format)
    if type(text) ~= "string" then
        return nil, "x509.new: expect a string at #1"
    end
    format = format or "*"
    local found = openssl.null
    if format == "PEM" or format == "*" then
        found = openssl.PEM_read_bio_X509(openssl.reader(text), nil, nil, nil)
    end
    if found == nil and (format == "DER" or format == "*") then
        local at = ffi.new "const char *[1]"
        at[0] = text
        found = openssl.d2i_X509(nil, at, #text)
    end
    if found == nil then
        return nil, openssl.failure "x509.new"
    end
    openssl.ERR_clear_error()
    return wrap(found)
end

function methods.to_PEM(certificate)
    return openssl.written(function(memory)
        return openssl.PEM_write_bio_X509(memory, certificate.ctx)
    end)
end

function methods.tostring(certificate, format)
    if format == "DER" then
        return openssl.der("i2d_X509", certificate.ctx)
    end
    return certificate:to_PEM()
end

local function seconds(time)
    local value = ffi.new "int64_t[1]"
    return openssl.ASN1_TIME_to_posix(time, value) == 1 and tonumber(value[0]) or nil
end

function methods.get_not_before(certificate)
    return seconds(openssl.X509_get0_notBefore(certificate.ctx))
end

function methods.get_not_after(certificate)
    return seconds(openssl.X509_get0_notAfter(certificate.ctx))
end

function methods.get_lifetime(certificate)
    return certificate:get_not_before(), certificate:get_not_after()
end

function methods.get_version(certificate)
    return tonumber(openssl.X509_get_version(certificate.ctx)) + 1
end

function methods.get_serial_number(certificate)
    local number = openssl.ASN1_INTEGER_to_BN(openssl.X509_get_serialNumber(certificate.ctx), nil)
    local copy = require("resty.openssl.bn").dup(number)
    openssl.BN_free(number)
    return copy
end

function methods.get_pubkey(certificate)
    local key = openssl.X509_get_pubkey(certificate.ctx)
    if key == nil then
        return nil, openssl.failure "x509:get_pubkey"
    end
    return require("resty.openssl.pkey").new(ffi.cast("EVP_PKEY *", key))
end

function methods.get_subject_name(certificate)
    return require("resty.openssl.x509.name").read(openssl.X509_get_subject_name(certificate.ctx), certificate)
end

function methods.get_issuer_name(certificate)
    return require("resty.openssl.x509.name").read(openssl.X509_get_issuer_name(certificate.ctx), certificate)
end

-- nil if there are none.
function methods.get_subject_alt_name(certificate)
    local names = openssl.X509_get_ext_d2i(certificate.ctx, ALTERNATIVE_NAMES, nil, nil)
    if names == nil then
        return nil
    end
    return require("resty.openssl.x509.altname").read(names)
end

local function digest(what, name)
    return function(certificate, kind)
        kind = kind or "sha1"
        local method = openssl.digest_named(kind)
        if not method then
            return nil, what .. ': invalid digest type "' .. kind .. '"'
        end
        local buffer, length = ffi.new("unsigned char[?]", 64), ffi.new "unsigned int[1]"
        if openssl[name](certificate.ctx, method, buffer, length) ~= 1 then
            return nil, openssl.failure(what)
        end
        return ffi.string(buffer, length[0])
    end
end
methods.digest = digest("x509:digest", "X509_digest")
methods.pubkey_digest = digest("x509:pubkey_digest", "X509_pubkey_digest")

function methods.check_private_key(certificate, key)
    if openssl.X509_check_private_key(certificate.ctx, key.ctx) ~= 1 then
        return false, openssl.failure "x509:check_private_key"
    end
    return true
end

function methods.check_host(certificate, name)
    return openssl.X509_check_host(certificate.ctx, name, #name, 0, nil) == 1
end

-- Whether the key has signed it.
function methods.verify(certificate, key)
    local good = openssl.X509_verify(certificate.ctx, key.ctx) == 1
    openssl.ERR_clear_error()
    return good
end

function methods.get_signature_nid(certificate)
    return openssl.X509_get_signature_nid(certificate.ctx)
end

function methods.get_signature_name(certificate)
    return openssl.text(openssl.OBJ_nid2sn(openssl.X509_get_signature_nid(certificate.ctx)))
end

return methods
