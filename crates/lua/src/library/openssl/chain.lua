-- resty.openssl.x509.chain: certificates in order.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local x509 = require "resty.openssl.x509"
local getmetatable, setmetatable, tonumber, type = getmetatable, setmetatable, tonumber, type

local methods = {}
local metatable = { __index = methods }

local function free(stack)
    for index = 0, tonumber(openssl.OPENSSL_sk_num(stack)) - 1 do
        openssl.X509_free(openssl.OPENSSL_sk_value(stack, index))
    end
    openssl.OPENSSL_sk_free(stack)
end

function methods.new()
    return setmetatable({ ctx = ffi.gc(ffi.cast("OPENSSL_STACK *", openssl.OPENSSL_sk_new_null()), free) }, metatable)
end

function methods.istype(value)
    return type(value) == "table" and getmetatable(value) == metatable
end

function methods.add(chain, certificate)
    if not x509.istype(certificate) then
        return false, "x509.chain:add: expect a x509 instance at #1"
    end
    openssl.X509_up_ref(certificate.ctx)
    openssl.OPENSSL_sk_push(chain.ctx, certificate.ctx)
    chain[#chain + 1] = certificate
    return true
end

-- A chain of the same certificates as a stack of C's.
function methods.dup(stack)
    if stack == nil then
        return nil, "x509.chain.dup: expect a stack at #1"
    end
    local chain = methods.new()
    for index = 0, tonumber(openssl.OPENSSL_sk_num(stack)) - 1 do
        local certificate, why = x509.dup(openssl.OPENSSL_sk_value(stack, index))
        if not certificate then
            return nil, why
        end
        chain:add(certificate)
    end
    return chain
end

function methods.all(chain)
    local all = {}
    for index = 1, #chain do
        all[index] = chain[index]
    end
    return all
end

function methods.count(chain)
    return #chain
end

function methods.each(chain)
    local index = 0
    return function()
        index = index + 1
        return chain[index]
    end
end

return methods
