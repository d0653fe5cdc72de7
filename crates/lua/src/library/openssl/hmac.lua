-- resty.openssl.hmac.
--
-- What is digested in one piece, which is the rule, takes one call of AWS-LC; only pieces need a context.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local getmetatable, select, setmetatable, type = getmetatable, select, setmetatable, type

local methods = {}
local metatable = { __index = methods }

function methods.new(key, name)
    name = name or "sha1"
    local kind = openssl.digest_named(name)
    if not kind then
        return nil, 'hmac.new: invalid digest type "' .. name .. '"'
    end
    return setmetatable({ key = key, kind = kind, size = openssl.digest_size(kind) }, metatable)
end

function methods.istype(value)
    return type(value) == "table" and getmetatable(value) == metatable
end

-- Begins with the key, in a context that is made when it is needed first.
local function begin(hmac)
    hmac.ctx = hmac.ctx or openssl.own("HMAC_CTX *", openssl.HMAC_CTX_new(), "HMAC_CTX_free")
    hmac.begun = openssl.HMAC_Init_ex(hmac.ctx, hmac.key, #hmac.key, hmac.kind, nil) == 1
    return hmac.begun
end

function methods.update(hmac, ...)
    if not hmac.begun and not begin(hmac) then
        return false, openssl.failure "hmac:update"
    end
    for index = 1, select("#", ...) do
        local text = select(index, ...)
        if openssl.HMAC_Update(hmac.ctx, text, #text) ~= 1 then
            return false, openssl.failure "hmac:update"
        end
    end
    return true
end

local function final_of_pieces(hmac, text, buffer)
    if text then
        local ok, why = methods.update(hmac, text)
        if not ok then
            return nil, why
        end
    end
    if openssl.HMAC_Final(hmac.ctx, buffer, nil) ~= 1 then
        return nil, openssl.failure "hmac:final"
    end
    return ffi.string(buffer, hmac.size)
end

function methods.final(hmac, text)
    local buffer = ffi.new("unsigned char[?]", hmac.size)
    if hmac.begun then
        return final_of_pieces(hmac, text, buffer)
    end
    text = text or ""
    if openssl.HMAC(hmac.kind, hmac.key, #hmac.key, text, #text, buffer, nil) == nil then
        return nil, openssl.failure "hmac:final"
    end
    return ffi.string(buffer, hmac.size)
end

-- Begins anew with the same key.
function methods.reset(hmac)
    hmac.begun = false
    return true
end

return methods
