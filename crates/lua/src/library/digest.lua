-- resty.md5, resty.sha1 and their relatives: a digest of what comes piece by piece.

local _, name = ...
local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local error, setmetatable, type = error, setmetatable, type

local kind = openssl.digest_named(string.match(name, "[^.]*$"))
local size = openssl.digest_size(kind)
local init, update, final = openssl.EVP_DigestInit_ex, openssl.EVP_DigestUpdate, openssl.EVP_DigestFinal_ex
local buffer = ffi.new("unsigned char[?]", size)

local methods = { _VERSION = "0.17" }
local metatable = { __index = methods }

function methods.new()
    local context = openssl.new_digest()
    if init(context, kind, nil) ~= 1 then
        return nil
    end
    return setmetatable({ _ctx = context }, metatable)
end

-- What OpenSSL knows it by, which must not be nothing. To be called by the method that a script called.
local function context_of(digest)
    local context = type(digest) == "table" and digest._ctx
    if type(context) ~= "cdata" then
        error("not a digest", 3)
    end
    return context
end

function methods.update(digest, text, length)
    local context = context_of(digest)
    if type(text) ~= "string" then
        error("bad argument #1 to 'update' (string expected, got " .. type(text) .. ")", 2)
    end
    length = length or #text
    if not (length >= 0 and length <= #text) then
        error("bad argument #2 to 'update' (more than there is)", 2)
    end
    return update(context, text, length) == 1
end

function methods.final(digest)
    if final(context_of(digest), buffer, nil) ~= 1 then
        return nil
    end
    return ffi.string(buffer, size)
end

function methods.reset(digest)
    return init(context_of(digest), kind, nil) == 1
end

return methods
