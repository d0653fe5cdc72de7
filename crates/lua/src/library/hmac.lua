-- resty.hmac: a keyed digest of what comes piece by piece.

local hmac = require "resty.openssl.hmac"
local to_hex = require("resty.string").to_hex
local setmetatable, type = setmetatable, type

local methods = { _VERSION = "0.06" }
local metatable = { __index = methods }

methods.ALGOS = { MD5 = "md5", SHA1 = "sha1", SHA224 = "sha224", SHA256 = "sha256", SHA384 = "sha384", SHA512 = "sha512" }

function methods.new(_, key, algorithm)
    if type(key) ~= "string" then
        return nil
    end
    local state = hmac.new(key, algorithm or "md5")
    return state and setmetatable({ state = state }, metatable)
end

function methods.update(self, text)
    return self.state:update(text) == true
end

function methods.final(self, text, hex)
    local digest = self.state:final(text)
    if digest and hex then
        return to_hex(digest)
    end
    return digest
end

function methods.reset(self)
    return self.state:reset() == true
end

return methods
