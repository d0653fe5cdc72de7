-- resty.md5, resty.sha1 and their relatives: a digest of what comes piece by piece.

local _, name = ...
local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local setmetatable = setmetatable

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

function methods.update(digest, text, length)
    return update(digest._ctx, text, length or #text) == 1
end

function methods.final(digest)
    if final(digest._ctx, buffer, nil) ~= 1 then
        return nil
    end
    return ffi.string(buffer, size)
end

function methods.reset(digest)
    return init(digest._ctx, kind, nil) == 1
end

return methods
