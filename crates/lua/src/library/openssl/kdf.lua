-- resty.openssl.kdf: keys from keys and passwords.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local setmetatable, tonumber, type = setmetatable, tonumber, type

local module = {
    HKDEF_MODE_EXTRACT_AND_EXPAND = 0, HKDEF_MODE_EXTRACT_ONLY = 1, HKDEF_MODE_EXPAND_ONLY = 2,
    -- The numbers of the algorithms in OpenSSL.
    PBKDF2 = 69, SCRYPT = 973, HKDF = 1036, TLS1_PRF = -1,
}
local metatable = { __index = module }

local DEFAULT_MEMORY = 32 * 1024 * 1024

local function hkdf(buffer, length, kind, options)
    local key, salt, info = options.key, options.salt or "", options.info or ""
    local mode = options.mode
    if mode == "EXTRACT_ONLY" or mode == module.HKDEF_MODE_EXTRACT_ONLY then
        local written = ffi.new "size_t[1]"
        local code = openssl.HKDF_extract(buffer, written, kind, key, #key, salt, #salt)
        return code, tonumber(written[0])
    elseif mode == "EXPAND_ONLY" or mode == module.HKDEF_MODE_EXPAND_ONLY then
        return openssl.HKDF_expand(buffer, length, kind, key, #key, info, #info), length
    end
    return openssl.HKDF(buffer, length, kind, key, #key, salt, #salt, info, #info), length
end

local function derive(what, name, length, options)
    length = tonumber(length)
    if not length or length < 1 then
        return nil, what .. ": expect a positive number of bytes"
    end
    local digest = options.digest or "sha1"
    local kind = openssl.digest_named(digest)
    if not kind then
        return nil, what .. ': invalid digest type "' .. digest .. '"'
    end
    local buffer = ffi.new("unsigned char[?]", math.max(length, 64))
    local code
    if name == "HKDF" then
        if type(options.key) ~= "string" then
            return nil, what .. ': "key" must be set'
        end
        code, length = hkdf(buffer, length, kind, options)
    else
        local pass, salt = options.pass or "", options.salt or ""
        if name == "PBKDF2" then
            local rounds = math.max(tonumber(options.iter) or 1, 1)
            code = openssl.PKCS5_PBKDF2_HMAC(pass, #pass, salt, #salt, rounds, kind, length, buffer)
        else
            code = openssl.EVP_PBE_scrypt(pass, #pass, salt, #salt, options.n or 0, options.r or 0, options.p or 0,
                options.maxmem_bytes or DEFAULT_MEMORY, buffer, length)
        end
    end
    if code ~= 1 then
        return nil, openssl.failure(what)
    end
    return ffi.string(buffer, length)
end

function module.new(name)
    local known = string.upper(name)
    if known ~= "HKDF" and known ~= "PBKDF2" and known ~= "SCRYPT" then
        return nil, 'kdf.new: invalid kdf type "' .. name .. '"'
    end
    return setmetatable({ name = known }, metatable)
end

local function derive_with(kdf, length, options)
    return derive("kdf:derive", kdf.name, length, options or {})
end

function module.reset()
    return true
end

-- The older form: one table that has everything.
local function derive_legacy(options)
    local kind = options.type
    if kind == nil then
        return nil, 'kdf.derive: "type" must be set'
    elseif type(kind) ~= "number" then
        return nil, 'kdf.derive: expect a number as "type"'
    end
    local common = { digest = options.md, pass = options.pass, salt = options.salt }
    if kind == module.PBKDF2 then
        common.iter = options.pbkdf2_iter
        return derive("kdf.derive", "PBKDF2", options.outlen, common)
    elseif kind == module.HKDF then
        common.key, common.info, common.mode = options.hkdf_key, options.hkdf_info, options.hkdf_mode
        return derive("kdf.derive", "HKDF", options.outlen, common)
    elseif kind == module.SCRYPT then
        common.n, common.r, common.p = options.scrypt_N, options.scrypt_r, options.scrypt_p
        common.maxmem_bytes = options.scrypt_maxmem
        return derive("kdf.derive", "SCRYPT", options.outlen, common)
    end
    return nil, "kdf.derive: kdf type " .. kind .. " is not supported"
end
module.derive_legacy = derive_legacy

-- `kdf:derive(length, options)` or `kdf.derive(options)`.
function module.derive(kdf, length, options)
    if length == nil and options == nil and kdf.name == nil then
        return derive_legacy(kdf)
    end
    return derive_with(kdf, length, options)
end

return module
