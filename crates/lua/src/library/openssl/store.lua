-- resty.openssl.x509.store: what certificates are trusted.

local openssl = require "tidegate.openssl"
local x509 = require "resty.openssl.x509"
local getmetatable, setmetatable, type = getmetatable, setmetatable, type

local methods = {}
local metatable = { __index = methods }

function methods.new()
    return setmetatable({ ctx = openssl.own("X509_STORE *", openssl.X509_STORE_new(), "X509_STORE_free") }, metatable)
end

function methods.istype(value)
    return type(value) == "table" and getmetatable(value) == metatable
end

function methods.use_default(store)
    if openssl.X509_STORE_set_default_paths(store.ctx) ~= 1 then
        return false, openssl.failure "x509.store:use_default"
    end
    return true
end

function methods.add(store, certificate)
    if not x509.istype(certificate) then
        return false, "x509.store:add: expect a x509 instance at #1"
    end
    if openssl.X509_STORE_add_cert(store.ctx, certificate.ctx) ~= 1 then
        return false, openssl.failure "x509.store:add"
    end
    return true
end

function methods.load_file(store, path)
    if openssl.X509_STORE_load_locations(store.ctx, path, nil) ~= 1 then
        return false, openssl.failure "x509.store:load_file"
    end
    return true
end

function methods.load_directory(store, path)
    if openssl.X509_STORE_load_locations(store.ctx, nil, path) ~= 1 then
        return false, openssl.failure "x509.store:load_directory"
    end
    return true
end

-- Whether a certificate, with others that may lead to one that is trusted, can be trusted.
function methods.verify(store, certificate, chain)
    local context = openssl.X509_STORE_CTX_new()
    if openssl.X509_STORE_CTX_init(context, store.ctx, certificate.ctx, chain and chain.ctx) ~= 1 then
        openssl.X509_STORE_CTX_free(context)
        return nil, openssl.failure "x509.store:verify"
    end
    local good = openssl.X509_verify_cert(context) == 1
    local why = openssl.text(openssl.X509_verify_cert_error_string(openssl.X509_STORE_CTX_get_error(context)))
    openssl.X509_STORE_CTX_free(context)
    openssl.ERR_clear_error()
    if good then
        return true
    end
    return nil, why
end

return methods
