-- resty.openssl.digest.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local ipairs, setmetatable, type = ipairs, setmetatable, type

local methods = {}
local metatable = { __index = methods }

function methods.new(name)
    name = name or "sha1"
    local kind = openssl.digest_named(name)
    if not kind then
        return nil, 'digest.new: invalid digest type "' .. name .. '"'
    end
    local digest = setmetatable({ ctx = openssl.new_digest(), kind = kind, size = openssl.digest_size(kind) }, metatable)
    local ok, why = digest:reset()
    if not ok then
        return nil, why
    end
    return digest
end

function methods.istype(value)
    return type(value) == "table" and getmetatable(value) == metatable
end

function methods.reset(digest)
    if openssl.EVP_DigestInit_ex(digest.ctx, digest.kind, nil) ~= 1 then
        return false, openssl.failure "digest:reset"
    end
    return true
end

function methods.update(digest, ...)
    for _, text in ipairs { ... } do
        if openssl.EVP_DigestUpdate(digest.ctx, text, #text) ~= 1 then
            return false, openssl.failure "digest:update"
        end
    end
    return true
end

function methods.final(digest, text)
    if text then
        local ok, why = digest:update(text)
        if not ok then
            return nil, why
        end
    end
    local buffer = ffi.new("unsigned char[?]", digest.size)
    if openssl.EVP_DigestFinal_ex(digest.ctx, buffer, nil) ~= 1 then
        return nil, openssl.failure "digest:final"
    end
    return ffi.string(buffer, digest.size)
end

return methods
