-- Keys as JSON Web Keys (RFC 7517).

local openssl = require "tidegate.openssl"
local cjson = require "cjson.safe"
local base64 = require "ngx.base64"
local encode, decode = base64.encode_base64url, base64.decode_base64url
local select, tostring, type = select, tostring, type

local curves = { ["P-256"] = 415, ["P-384"] = 715, ["P-521"] = 716, secp256k1 = 714 }
local raw_curves = { Ed25519 = 949, X25519 = 948 }

local module = {}

-- A number of C's from a field; nil if it is not there or not good.
local function number(field)
    local bytes = type(field) == "string" and decode((string.gsub(field, "=+$", "")))
    return bytes and openssl.BN_bin2bn(bytes, #bytes, nil) or nil
end

local function free(...)
    for index = 1, select("#", ...) do
        local part = select(index, ...)
        if part then
            openssl.BN_free(part)
        end
    end
end

local function read_rsa(jwk)
    local n, e, d = number(jwk.n), number(jwk.e), number(jwk.d)
    if not n or not e then
        free(n, e, d)
        return nil, 'at least "n" and "e" parameter is required'
    end
    local rsa = openssl.RSA_new()
    openssl.RSA_set0_key(rsa, n, e, d)
    local p, q = number(jwk.p), number(jwk.q)
    if p and q then
        openssl.RSA_set0_factors(rsa, p, q)
        local dp, dq, qi = number(jwk.dp), number(jwk.dq), number(jwk.qi)
        if dp and dq and qi then
            openssl.RSA_set0_crt_params(rsa, dp, dq, qi)
        else
            free(dp, dq, qi)
        end
    else
        free(p, q)
    end
    local key = openssl.EVP_PKEY_new()
    openssl.EVP_PKEY_assign_RSA(key, rsa)
    return key, d ~= nil
end

local function read_ec(jwk)
    local curve = curves[jwk.crv]
    if not curve then
        return nil, "unknown curve \"" .. tostring(jwk.crv) .. '"'
    end
    local x, y, d = number(jwk.x), number(jwk.y), number(jwk.d)
    local ec = openssl.EC_KEY_new_by_curve_name(curve)
    local good = x and y and openssl.EC_KEY_set_public_key_affine_coordinates(ec, x, y) == 1
        and (not d or openssl.EC_KEY_set_private_key(ec, d) == 1)
    free(x, y, d)
    if not good then
        openssl.EC_KEY_free(ec)
        openssl.ERR_clear_error()
        return nil, 'at least "x" and "y" parameter is required'
    end
    local key = openssl.EVP_PKEY_new()
    openssl.EVP_PKEY_assign_EC_KEY(key, ec)
    return key, d ~= nil
end

local function read_raw(jwk)
    local kind = raw_curves[jwk.crv]
    local private, public = jwk.d and decode(jwk.d), jwk.x and decode(jwk.x)
    if not kind or not private and not public then
        return nil, "unknown curve or no key"
    end
    local key
    if private then
        key = openssl.EVP_PKEY_new_raw_private_key(kind, nil, private, #private)
    else
        key = openssl.EVP_PKEY_new_raw_public_key(kind, nil, public, #public)
    end
    if key == nil then
        openssl.ERR_clear_error()
        return nil, "not a key of " .. jwk.crv
    end
    return key, private ~= nil
end

-- A key of C's and whether it has a private part; or nil and why not.
function module.read(text)
    local jwk, why = cjson.decode(text)
    if type(jwk) ~= "table" then
        return nil, "JWK: " .. (why or "not an object")
    end
    local read = jwk.kty == "RSA" and read_rsa or jwk.kty == "EC" and read_ec or jwk.kty == "OKP" and read_raw
    if not read then
        return nil, "not yet supported jwk type \"" .. tostring(jwk.kty) .. '"'
    end
    return read(jwk)
end

local function field(value, size)
    return value and encode(openssl.number_bytes(value.ctx, size))
end

function module.write(key, private)
    local parameters = key:get_parameters()
    local jwk
    if parameters.n then
        jwk = { kty = "RSA", n = field(parameters.n), e = field(parameters.e) }
        if private then
            jwk.d, jwk.p, jwk.q = field(parameters.d), field(parameters.p), field(parameters.q)
            jwk.dp, jwk.dq, jwk.qi = field(parameters.dmp1), field(parameters.dmq1), field(parameters.iqmp)
        end
    elseif parameters.group then
        local name
        for curve, nid in pairs(curves) do
            name = nid == parameters.group and curve or name
        end
        local group = openssl.EC_KEY_get0_group(openssl.EVP_PKEY_get0_EC_KEY(key.ctx))
        local size = math.floor((openssl.EC_GROUP_get_degree(group) + 7) / 8)
        jwk = { kty = "EC", crv = name, x = field(parameters.x, size), y = field(parameters.y, size) }
        jwk.d = private and field(parameters.private, size) or nil
    else
        jwk = { kty = "OKP", x = encode(parameters.public), d = private and encode(parameters.private) or nil }
        for curve, nid in pairs(raw_curves) do
            jwk.crv = nid == key.key_type and curve or jwk.crv
        end
    end
    return cjson.encode(jwk)
end

return module
