-- resty.openssl.hmac.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local ipairs, setmetatable, type = ipairs, setmetatable, type

local methods = {}
local metatable = { __index = methods }

function methods.new(key, name)
    name = name or "sha1"
    local kind = openssl.digest_named(name)
    if not kind then
        return nil, 'hmac.new: invalid digest type "' .. name .. '"'
    end
    local context = openssl.own("HMAC_CTX *", openssl.HMAC_CTX_new(), "HMAC_CTX_free")
    if openssl.HMAC_Init_ex(context, key, #key, kind, nil) ~= 1 then
        return nil, openssl.failure "hmac.new"
    end
    return setmetatable({ ctx = context, size = openssl.digest_size(kind) }, metatable)
end

function methods.istype(value)
    return type(value) == "table" and getmetatable(value) == metatable
end

function methods.update(hmac, ...)
    for _, text in ipairs { ... } do
        if openssl.HMAC_Update(hmac.ctx, text, #text) ~= 1 then
            return false, openssl.failure "hmac:update"
        end
    end
    return true
end

function methods.final(hmac, text)
    if text then
        local ok, why = hmac:update(text)
        if not ok then
            return nil, why
        end
    end
    local buffer = ffi.new("unsigned char[?]", hmac.size)
    if openssl.HMAC_Final(hmac.ctx, buffer, nil) ~= 1 then
        return nil, openssl.failure "hmac:final"
    end
    return ffi.string(buffer, hmac.size)
end

-- Begins anew with the same key.
function methods.reset(hmac)
    if openssl.HMAC_Init_ex(hmac.ctx, nil, 0, nil, nil) ~= 1 then
        return false, openssl.failure "hmac:reset"
    end
    return true
end

return methods
