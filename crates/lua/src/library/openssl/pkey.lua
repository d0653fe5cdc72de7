-- resty.openssl.pkey: keys of RSA, of elliptic curves, Ed25519 and X25519.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local byte, char, rep, sub = string.byte, string.char, string.rep, string.sub
local getmetatable, setmetatable, type = getmetatable, setmetatable, type

local RSA, EC, ED25519, X25519, RSA_PSS = 6, 408, 949, 948, 912
-- P-256.
local DEFAULT_CURVE = 415
local PSS_PADDING, OAEP_PADDING = 6, 4

local methods = {
    PADDINGS = { RSA_PKCS1_PADDING = 1, RSA_NO_PADDING = 3, RSA_PKCS1_OAEP_PADDING = OAEP_PADDING, RSA_PKCS1_PSS_PADDING = PSS_PADDING },
}
local metatable = { __index = methods }

local function wrap(pointer, is_private)
    local kind = openssl.EVP_PKEY_id(pointer)
    return setmetatable({
        ctx = openssl.own("EVP_PKEY *", pointer, "EVP_PKEY_free"), key_type = kind,
        key_type_is_ecx = kind == ED25519 or kind == X25519, private = is_private,
    }, metatable)
end

function methods.istype(value)
    return type(value) == "table" and getmetatable(value) == metatable
end

-- Making -------------------------------------------------------------------------------------------------------------

local function curve_of(name)
    local nid = openssl.OBJ_txt2nid(name or "prime256v1")
    return nid ~= 0 and nid or nil
end

local function generate(options)
    local kinds = { RSA = RSA, EC = EC, ED25519 = ED25519, X25519 = X25519 }
    local kind = kinds[string.upper(options.type or "RSA")]
    if not kind then
        return nil, "pkey.new: unsupported type " .. tostring(options.type)
    end
    local context = openssl.EVP_PKEY_CTX_new_id(kind, nil)
    local key = ffi.new("void *[1]")
    local ok = openssl.EVP_PKEY_keygen_init(context) == 1
    if ok and kind == RSA then
        ok = openssl.EVP_PKEY_CTX_set_rsa_keygen_bits(context, options.bits or 2048) == 1
    elseif ok and kind == EC then
        local curve = curve_of(options.curve)
        ok = curve ~= nil and openssl.EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, curve) == 1
    end
    ok = ok and openssl.EVP_PKEY_keygen(context, key) == 1
    openssl.EVP_PKEY_CTX_free(context)
    if not ok then
        return nil, openssl.failure "pkey.new"
    end
    return wrap(key[0], true)
end

-- Asked for instead of at a terminal.
local function password(passphrase)
    local text = passphrase or ""
    return ffi.cast("void *", ffi.cast("const char *", text)), text
end

local function from_pem(text, part, passphrase)
    local found = openssl.null
    if part ~= "pu" then
        local given, kept = password(passphrase)
        found = openssl.PEM_read_bio_PrivateKey(openssl.reader(text), nil, nil, given)
        if found ~= nil then
            return wrap(found, true), kept
        end
    end
    if part ~= "pr" then
        found = openssl.PEM_read_bio_PUBKEY(openssl.reader(text), nil, nil, nil)
        if found == nil then
            local rsa = openssl.PEM_read_bio_RSAPublicKey(openssl.reader(text), nil, nil, nil)
            if rsa ~= nil then
                found = openssl.EVP_PKEY_new()
                openssl.EVP_PKEY_assign_RSA(found, rsa)
            end
        end
    end
    return found ~= nil and wrap(found, false) or nil
end

local function from_der(text, part)
    local at = ffi.new "const char *[1]"
    at[0] = text
    if part ~= "pu" then
        local found = openssl.d2i_AutoPrivateKey(nil, at, #text)
        if found ~= nil then
            return wrap(found, true)
        end
    end
    if part ~= "pr" then
        at[0] = text
        local found = openssl.d2i_PUBKEY(nil, at, #text)
        if found ~= nil then
            return wrap(found, false)
        end
    end
    return nil
end

-- From PEM, DER or JWK; from what to make as a table; or a new RSA key.
function methods.new(source, options)
    if source == nil then
        return generate {}
    elseif type(source) == "table" then
        return generate(source)
    elseif type(source) == "cdata" then
        return wrap(source, true)
    elseif type(source) ~= "string" then
        return nil, "pkey.new: unexpected type " .. type(source) .. " at #1"
    end
    options = options or {}
    local format, part = options.format or "*", options.type
    local key, why
    if format == "JWK" or format == "*" and string.find(source, "^%s*{") then
        key, why = require("tidegate.openssl.jwk").read(source)
        if not key then
            return nil, "pkey.new: " .. why
        end
        return wrap(key, why)
    end
    if format == "PEM" or format == "*" then
        local passphrase = options.passphrase
        if not passphrase and options.passphrase_cb then
            passphrase = options.passphrase_cb()
        end
        key = from_pem(source, part, passphrase)
    end
    if not key and (format == "DER" or format == "*") then
        key = from_der(source, part)
    end
    if not key then
        return nil, openssl.failure "pkey.new"
    end
    openssl.ERR_clear_error()
    return key
end

-- Telling ------------------------------------------------------------------------------------------------------------

function methods.get_key_type(key, only_number)
    if only_number then
        return key.key_type
    end
    local id = { nid = key.key_type, id = key.key_type }
    id.sn, id.ln = openssl.text(openssl.OBJ_nid2sn(key.key_type)), openssl.text(openssl.OBJ_nid2ln(key.key_type))
    return id
end

function methods.get_size(key)
    return openssl.EVP_PKEY_size(key.ctx)
end

function methods.get_default_digest_type()
    return { nid = 672, sn = "SHA256", ln = "sha256", id = "SHA256" }
end

function methods.is_private(key)
    return key.private
end

local function rsa_parameters(key)
    local names, values = { "n", "e", "d", "p", "q", "dmp1", "dmq1", "iqmp" }, {}
    local found = ffi.new "void *[8]"
    local rsa = openssl.EVP_PKEY_get0_RSA(key.ctx)
    openssl.RSA_get0_key(rsa, found, found + 1, found + 2)
    openssl.RSA_get0_factors(rsa, found + 3, found + 4)
    openssl.RSA_get0_crt_params(rsa, found + 5, found + 6, found + 7)
    local bn = require "resty.openssl.bn"
    for index, name in ipairs(names) do
        values[name] = found[index - 1] ~= nil and bn.dup(found[index - 1]) or nil
    end
    return values
end

local function ec_parameters(key)
    local bn = require "resty.openssl.bn"
    local ec = openssl.EVP_PKEY_get0_EC_KEY(key.ctx)
    local group = openssl.EC_KEY_get0_group(ec)
    local private = openssl.EC_KEY_get0_private_key(ec)
    local x, y = bn.new(), bn.new()
    openssl.EC_POINT_get_affine_coordinates_GFp(group, openssl.EC_KEY_get0_public_key(ec), x.ctx, y.ctx, nil)
    return {
        group = openssl.EC_GROUP_get_curve_name(group), x = x, y = y,
        private = private ~= nil and bn.dup(private) or nil,
    }
end

local function raw_parameters(key)
    local function part(name)
        local buffer, length = ffi.new("unsigned char[?]", 32), ffi.new("size_t[1]", 32)
        local code = openssl[name](key.ctx, buffer, length)
        openssl.ERR_clear_error()
        return code == 1 and ffi.string(buffer, length[0]) or nil
    end
    return { public = part "EVP_PKEY_get_raw_public_key", private = part "EVP_PKEY_get_raw_private_key" }
end

function methods.get_parameters(key)
    if key.key_type == RSA or key.key_type == RSA_PSS then
        return rsa_parameters(key)
    elseif key.key_type == EC then
        return ec_parameters(key)
    end
    return raw_parameters(key)
end

function methods.tostring(key, part, format)
    if format == "JWK" then
        return require("tidegate.openssl.jwk").write(key, part == "private" or part == "PrivateKey")
    end
    local private = part == "private" or part == "PrivateKey"
    if private and not key.private then
        return nil, "pkey:tostring: the key has no private part"
    end
    if format == "DER" then
        return openssl.der(private and "i2d_PrivateKey" or "i2d_PUBKEY", key.ctx)
    end
    return openssl.written(function(memory)
        if private then
            return openssl.PEM_write_bio_PrivateKey(memory, key.ctx, nil, nil, 0, nil, nil)
        end
        return openssl.PEM_write_bio_PUBKEY(memory, key.ctx)
    end)
end

function methods.to_PEM(key, part)
    return key:tostring(part, "PEM")
end

metatable.__tostring = function(key)
    return key:tostring()
end

-- Encrypting ---------------------------------------------------------------------------------------------------------

local function digest_option(options, name)
    local kind = options and options[name]
    return kind and openssl.digest_named(kind)
end

-- Sets what a context should know of padding; answers whether it took that.
local function pad(context, key, padding, options)
    if key.key_type ~= RSA or not padding then
        return true
    end
    local ok = openssl.EVP_PKEY_CTX_set_rsa_padding(context, padding) == 1
    local mask, oaep = digest_option(options, "mgf1_md"), digest_option(options, "oaep_md")
    if padding == PSS_PADDING then
        -- As long as the digest, which is what JWT wants.
        ok = ok and openssl.EVP_PKEY_CTX_set_rsa_pss_saltlen(context, options and options.pss_saltlen or -1) == 1
    end
    if padding == OAEP_PADDING and oaep then
        ok = ok and openssl.EVP_PKEY_CTX_set_rsa_oaep_md(context, oaep) == 1
    end
    if mask then
        ok = ok and openssl.EVP_PKEY_CTX_set_rsa_mgf1_md(context, mask) == 1
    end
    return ok
end

-- An operation of one text on another, `EVP_PKEY_name`.
local function transform(name, method, padded_by_default)
    return function(key, text, padding, options)
        local context = openssl.EVP_PKEY_CTX_new(key.ctx, nil)
        local length = ffi.new("size_t[1]", openssl.EVP_PKEY_size(key.ctx))
        local buffer = ffi.new("unsigned char[?]", length[0])
        local ok = openssl[name .. "_init"](context) == 1 and pad(context, key, padding or padded_by_default, options)
            and openssl[name](context, buffer, length, text, #text) == 1
        openssl.EVP_PKEY_CTX_free(context)
        if not ok then
            return nil, openssl.failure("pkey:" .. method)
        end
        return ffi.string(buffer, length[0])
    end
end

methods.encrypt = transform("EVP_PKEY_encrypt", "encrypt", 1)
methods.decrypt = transform("EVP_PKEY_decrypt", "decrypt", 1)
methods.sign_raw = transform("EVP_PKEY_sign", "sign_raw", 1)
methods.verify_recover = transform("EVP_PKEY_verify_recover", "verify_recover", 1)

-- Signing ------------------------------------------------------------------------------------------------------------

local function half_size(key)
    local group = openssl.EC_KEY_get0_group(openssl.EVP_PKEY_get0_EC_KEY(key.ctx))
    return math.floor((openssl.EC_GROUP_get_degree(group) + 7) / 8)
end

-- Two numbers of a size in DER, as they are in X.509, from each other.
local function der_number(bytes)
    bytes = string.gsub(bytes, "^%z+", "")
    if bytes == "" or byte(bytes) >= 128 then
        bytes = "\0" .. bytes
    end
    return char(2, #bytes) .. bytes
end

local function to_der(raw)
    local size = #raw / 2
    local content = der_number(sub(raw, 1, size)) .. der_number(sub(raw, size + 1))
    return (#content < 128 and char(0x30, #content) or char(0x30, 0x81, #content)) .. content
end

local function from_der_signature(der, size)
    local at = byte(der, 2) == 0x81 and 4 or 3
    local length = byte(der, at + 1)
    local one = sub(der, at + 2, at + 1 + length)
    local other = sub(der, at + 4 + length)
    local function fill(number)
        number = string.gsub(number, "^%z+", "")
        return rep("\0", size - #number) .. number
    end
    return fill(one) .. fill(other)
end

local function is_digest(value)
    return type(value) == "table" and value.kind ~= nil
end

-- Runs `EVP_DigestSign` or its like; `run` gets the context.
local function with_digest(key, what, init, kind, padding, options, run)
    local digest, context = openssl.new_digest(), ffi.new "void *[1]"
    if openssl[init](digest, context, kind, nil, key.ctx) ~= 1 or not pad(context[0], key, padding, options) then
        return nil, openssl.failure(what)
    end
    return run(digest)
end

-- Runs `EVP_PKEY_sign` or its like on a digest that has been made.
local function with_hash(key, what, init, digest, padding, options, run)
    local hash = digest:final()
    local context = openssl.EVP_PKEY_CTX_new(key.ctx, nil)
    local ok = openssl[init](context) == 1 and pad(context, key, padding, options)
        and openssl.EVP_PKEY_CTX_set_signature_md(context, digest.kind) == 1
    if not ok then
        openssl.EVP_PKEY_CTX_free(context)
        return nil, openssl.failure(what)
    end
    local result = run(context, hash)
    openssl.EVP_PKEY_CTX_free(context)
    return result
end

local function method_for(key, name)
    if key.key_type == ED25519 then
        return nil
    end
    return openssl.digest_named(name or "sha256")
end

-- Signs a text, or what a digest has taken.
function methods.sign(key, text, digest, padding, options)
    if not key.private then
        return nil, "pkey:sign: the key has no private part"
    end
    local buffer = ffi.new("unsigned char[?]", openssl.EVP_PKEY_size(key.ctx))
    local length = ffi.new("size_t[1]", openssl.EVP_PKEY_size(key.ctx))
    local ok, why
    if is_digest(text) then
        ok, why = with_hash(key, "pkey:sign", "EVP_PKEY_sign_init", text, padding, options, function(context, hash)
            return openssl.EVP_PKEY_sign(context, buffer, length, hash, #hash) == 1
        end)
    else
        local kind = method_for(key, digest)
        if not kind and key.key_type ~= ED25519 then
            return nil, 'pkey:sign: invalid digest type "' .. digest .. '"'
        end
        ok, why = with_digest(key, "pkey:sign", "EVP_DigestSignInit", kind, padding, options, function(context)
            return openssl.EVP_DigestSign(context, buffer, length, text, #text) == 1
        end)
    end
    if not ok then
        return nil, why or openssl.failure "pkey:sign"
    end
    local signature = ffi.string(buffer, length[0])
    if options and options.ecdsa_use_raw and key.key_type == EC then
        return from_der_signature(signature, half_size(key))
    end
    return signature
end

-- Whether a signature is of a text, or of what a digest has taken, by this key.
function methods.verify(key, signature, text, digest, padding, options)
    if options and options.ecdsa_use_raw and key.key_type == EC then
        if #signature ~= 2 * half_size(key) then
            return false, "pkey:verify: invalid length of the signature"
        end
        signature = to_der(signature)
    end
    local good, why
    if is_digest(text) then
        good, why = with_hash(key, "pkey:verify", "EVP_PKEY_verify_init", text, padding, options, function(context, hash)
            return openssl.EVP_PKEY_verify(context, signature, #signature, hash, #hash) == 1
        end)
    else
        local kind = method_for(key, digest)
        if not kind and key.key_type ~= ED25519 then
            return nil, 'pkey:verify: invalid digest type "' .. digest .. '"'
        end
        good, why = with_digest(key, "pkey:verify", "EVP_DigestVerifyInit", kind, padding, options, function(context)
            return openssl.EVP_DigestVerify(context, signature, #signature, text, #text) == 1
        end)
    end
    openssl.ERR_clear_error()
    if good == nil then
        return nil, why
    end
    return good
end

-- Verifies a digest that was made elsewhere.
function methods.verify_raw(key, signature, hash, digest, padding, options)
    local made = { kind = openssl.digest_named(digest or "sha256"), final = function() return hash end }
    return key:verify(signature, made, nil, padding, options)
end

-- The secret that two keys agree on.
function methods.derive(key, peer)
    local context = openssl.EVP_PKEY_CTX_new(key.ctx, nil)
    local length, secret = ffi.new "size_t[1]", nil
    if openssl.EVP_PKEY_derive_init(context) == 1 and openssl.EVP_PKEY_derive_set_peer(context, peer.ctx) == 1
        and openssl.EVP_PKEY_derive(context, nil, length) == 1
    then
        local buffer = ffi.new("unsigned char[?]", length[0])
        if openssl.EVP_PKEY_derive(context, buffer, length) == 1 then
            secret = ffi.string(buffer, length[0])
        end
    end
    openssl.EVP_PKEY_CTX_free(context)
    if not secret then
        return nil, openssl.failure "pkey:derive"
    end
    return secret
end

methods.DEFAULT_CURVE = DEFAULT_CURVE

return methods
