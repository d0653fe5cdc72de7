-- resty.openssl.cipher.

local ffi = require "ffi"
local bit = require "bit"
local openssl = require "tidegate.openssl"
local concat = table.concat
local getmetatable, ipairs, setmetatable, tonumber, type = getmetatable, ipairs, setmetatable, tonumber, type

local SET_IV_LENGTH, GET_TAG, SET_TAG = 0x9, 0x10, 0x11
-- A flag of ciphers that authenticate.
local AEAD = 0x800

local methods = {}
local metatable = { __index = methods }

-- Ciphers that wrap keys (RFC 3394), which AWS-LC has functions of their own for.
local wraps = {}
local wraps_metatable = { __index = wraps }
local WRAP_OVERHEAD, AES_KEY_BYTES = 8, 512

local function find(name)
    name = string.lower(name)
    local size, mode = string.match(name, "^aes%-?(%d+)%-?(%w+)$")
    local kind = size and openssl.aes(tonumber(size), mode == "cfb" and "cfb128" or mode)
    kind = kind or openssl.EVP_get_cipherbyname(name)
    return kind ~= nil and kind or nil
end

local function new_wrap(name)
    local bits = tonumber(string.match(string.lower(name), "^aes%-?(%d+)%-?wrap$"))
    if bits == 128 or bits == 192 or bits == 256 then
        return setmetatable({ bits = bits, key_size = bits / 8, iv_size = WRAP_OVERHEAD, block_size = WRAP_OVERHEAD },
            wraps_metatable)
    end
end

function methods.new(name)
    name = name or "aes-128-cbc"
    local wrap = new_wrap(name)
    if wrap then
        return wrap
    end
    local kind = find(name)
    if not kind then
        return nil, 'cipher.new: invalid cipher type "' .. name .. '"'
    end
    return setmetatable({
        ctx = openssl.new_cipher(), kind = kind, initialized = false,
        block_size = openssl.EVP_CIPHER_block_size(kind), key_size = openssl.EVP_CIPHER_key_length(kind),
        iv_size = openssl.EVP_CIPHER_iv_length(kind),
        is_aead = bit.band(openssl.EVP_CIPHER_flags(kind), AEAD) ~= 0,
    }, metatable)
end

function methods.istype(value)
    local own = type(value) == "table" and getmetatable(value)
    return own == metatable or own == wraps_metatable
end

function methods.set_buffer_size()
    return true
end

function methods.init(cipher, key, iv, options)
    options = options or {}
    cipher.initialized = false
    if not key or #key ~= cipher.key_size then
        return false, "cipher:init: incorrect key size, expect " .. cipher.key_size
    end
    iv = iv or ""
    if not cipher.is_aead and #iv ~= cipher.iv_size then
        return false, "cipher:init: incorrect iv size, expect " .. cipher.iv_size
    end
    local encrypt = options.is_encrypt and 1 or 0
    openssl.EVP_CIPHER_CTX_reset(cipher.ctx)
    if openssl.EVP_CipherInit_ex(cipher.ctx, cipher.kind, nil, nil, nil, encrypt) ~= 1
        or cipher.is_aead and openssl.EVP_CIPHER_CTX_ctrl(cipher.ctx, SET_IV_LENGTH, #iv, nil) ~= 1
        or openssl.EVP_CipherInit_ex(cipher.ctx, nil, nil, key, iv, encrypt) ~= 1
    then
        return false, openssl.failure "cipher:init"
    end
    if options.no_padding then
        openssl.EVP_CIPHER_CTX_set_padding(cipher.ctx, 0)
    end
    cipher.initialized = true
    return true
end

local length = ffi.new "int[1]"

local function update(cipher, text, is_aad)
    local buffer = not is_aad and ffi.new("unsigned char[?]", #text + cipher.block_size + 16) or nil
    if openssl.EVP_CipherUpdate(cipher.ctx, buffer, length, text, #text) ~= 1 then
        return nil, openssl.failure "cipher:update"
    end
    return is_aad or ffi.string(buffer, length[0])
end

local function not_initialized(name)
    return nil, "cipher:" .. name .. ": cipher not initalized, call cipher:init first"
end

function methods.update_aead_aad(cipher, aad)
    if not cipher.initialized then
        return not_initialized "update_aead_aad"
    end
    return update(cipher, aad, true)
end

function methods.update(cipher, ...)
    if not cipher.initialized then
        return not_initialized "update"
    end
    local parts = {}
    for index, text in ipairs { ... } do
        if type(text) ~= "string" then
            return nil, "cipher:update: expect a string at #" .. index
        end
        local part, why = update(cipher, text)
        if not part then
            return nil, why
        end
        parts[index] = part
    end
    return concat(parts)
end

function methods.final(cipher, text)
    local before = ""
    if text then
        local why
        before, why = cipher:update(text)
        if not before then
            return nil, why
        end
    end
    local buffer = ffi.new("unsigned char[?]", cipher.block_size + 16)
    if openssl.EVP_CipherFinal_ex(cipher.ctx, buffer, length) ~= 1 then
        return nil, openssl.failure "cipher:final"
    end
    return before .. ffi.string(buffer, length[0])
end

function methods.get_aead_tag(cipher, size)
    if not cipher.initialized then
        return not_initialized "get_aead_tag"
    end
    size = size or 16
    local buffer = ffi.new("unsigned char[?]", size)
    if openssl.EVP_CIPHER_CTX_ctrl(cipher.ctx, GET_TAG, size, buffer) ~= 1 then
        return nil, openssl.failure "cipher:get_aead_tag"
    end
    return ffi.string(buffer, size)
end

function methods.set_aead_tag(cipher, tag)
    if not cipher.initialized then
        return not_initialized "set_aead_tag"
    end
    if openssl.EVP_CIPHER_CTX_ctrl(cipher.ctx, SET_TAG, #tag, tag) ~= 1 then
        return nil, openssl.failure "cipher:set_aead_tag"
    end
    return true
end

local function run(cipher, encrypt, key, iv, text, no_padding, aad, tag)
    local ok, why = cipher:init(key, iv, { is_encrypt = encrypt, no_padding = no_padding })
    if ok and aad then
        ok, why = cipher:update_aead_aad(aad)
    end
    if ok and tag then
        ok, why = cipher:set_aead_tag(tag)
    end
    if not ok then
        return nil, why
    end
    return cipher:final(text)
end

function methods.encrypt(cipher, key, iv, text, no_padding, aad)
    return run(cipher, true, key, iv, text, no_padding, aad)
end

function methods.decrypt(cipher, key, iv, text, no_padding, aad, tag)
    return run(cipher, false, key, iv, text, no_padding, aad, tag)
end

local function wrap(cipher, prepare, perform, size, key, iv, text)
    if not key or #key ~= cipher.key_size then
        return nil, "cipher:init: incorrect key size, expect " .. cipher.key_size
    elseif iv ~= nil and #iv ~= cipher.iv_size then
        return nil, "cipher:init: incorrect iv size, expect " .. cipher.iv_size
    elseif size < 2 * WRAP_OVERHEAD or size % WRAP_OVERHEAD ~= 0 then
        return nil, "cipher:update: the size of what is wrapped has to be a multiple of 8"
    end
    local schedule, buffer = ffi.new("uint64_t[?]", AES_KEY_BYTES / 8), ffi.new("unsigned char[?]", size)
    if prepare(key, cipher.bits, schedule) ~= 0 then
        return nil, openssl.failure "cipher:init"
    end
    local written = perform(schedule, iv, buffer, text, #text)
    if written < 0 then
        return nil, openssl.failure "cipher:final"
    end
    return ffi.string(buffer, written)
end

function wraps.encrypt(cipher, key, iv, text)
    return wrap(cipher, openssl.AES_set_encrypt_key, openssl.AES_wrap_key, #text + WRAP_OVERHEAD, key, iv, text)
end

function wraps.decrypt(cipher, key, iv, text)
    return wrap(cipher, openssl.AES_set_decrypt_key, openssl.AES_unwrap_key, #text, key, iv, text)
end

-- A key and a vector from a password.
function methods.derive(cipher, key, salt, count, digest)
    local kind = openssl.digest_named(digest or "sha1")
    if not kind then
        return nil, nil, 'cipher:derive: invalid digest type "' .. digest .. '"'
    end
    if salt and #salt ~= 8 then
        return nil, nil, "cipher:derive: salt must be 8 bytes"
    end
    local own_key = ffi.new("unsigned char[?]", cipher.key_size)
    local iv = ffi.new("unsigned char[?]", math.max(cipher.iv_size, 1))
    local size = openssl.EVP_BytesToKey(cipher.kind, kind, salt, key, #key, count or 1, own_key, iv)
    if size ~= cipher.key_size then
        return nil, nil, openssl.failure "cipher:derive"
    end
    return ffi.string(own_key, size), ffi.string(iv, cipher.iv_size)
end

return methods
