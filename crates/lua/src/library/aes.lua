-- resty.aes.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local error, setmetatable, type = error, setmetatable, type

local module = { _VERSION = "0.17" }
local metatable = { __index = module }

local SET_IV_LENGTH, GET_TAG, SET_TAG, TAG = 0x9, 0x10, 0x11, 16

module.hash = {}
for _, name in ipairs { "md5", "sha1", "sha224", "sha256", "sha384", "sha512" } do
    module.hash[name] = openssl.digest_named(name)
end

function module.cipher(size, mode)
    size, mode = size or 128, mode or "cbc"
    local method = openssl.aes(size, mode)
    return method and { size = size, cipher = mode, method = method }
end

-- `hash` is one of `module.hash`, from which key and vector are derived; or a table with `iv`, and maybe with `method`,
-- which makes the key.
function module.new(_, key, salt, cipher, hash, rounds, iv_length, padding)
    cipher, hash = cipher or module.cipher(), hash or module.hash.md5
    local size = cipher.size / 8
    iv_length = iv_length or size
    local own_key, iv = ffi.new("unsigned char[?]", size), ffi.new("unsigned char[?]", size)
    if type(hash) == "table" then
        if not hash.iv then
            return nil, "iv is needed"
        end
        iv_length = #hash.iv
        if iv_length > size then
            return nil, "bad iv length"
        end
        key = hash.method and hash.method(key) or key
        if #key ~= size then
            return nil, "bad key length"
        end
        ffi.copy(own_key, key, size)
        ffi.copy(iv, hash.iv, iv_length)
    else
        if salt and #salt ~= 8 then
            return nil, "salt must be 8 characters or nil"
        end
        if openssl.EVP_BytesToKey(cipher.method, hash, salt, key, #key, rounds or 1, own_key, iv) ~= size then
            return nil, "failed to generate key and iv"
        end
    end
    return setmetatable({
        key = own_key, iv = iv, iv_length = iv_length, method = cipher.method, is_gcm = cipher.cipher == "gcm",
        padding = (padding == nil or padding) and 1 or 0, context = openssl.new_cipher(),
    }, metatable)
end

local length, rest = ffi.new "int[1]", ffi.new "int[1]"

-- Begins anew; answers where the result goes, or nil and why not.
local function begin(self, encrypt, text, aad)
    local context = self.context
    local name = encrypt == 1 and "EVP_Encrypt" or "EVP_Decrypt"
    if openssl.EVP_CipherInit_ex(context, self.method, nil, nil, nil, encrypt) ~= 1 then
        return nil, name .. "Init_ex failed"
    end
    if self.is_gcm and openssl.EVP_CIPHER_CTX_ctrl(context, SET_IV_LENGTH, self.iv_length, nil) ~= 1 then
        return nil, "failed to set IV length"
    end
    openssl.EVP_CIPHER_CTX_set_padding(context, self.padding)
    if openssl.EVP_CipherInit_ex(context, nil, nil, self.key, self.iv, encrypt) ~= 1 then
        return nil, name .. "Init_ex failed"
    end
    local buffer = ffi.new("unsigned char[?]", #text + 64)
    if self.is_gcm and aad ~= nil and openssl.EVP_CipherUpdate(context, nil, rest, aad, #aad) ~= 1
        or openssl.EVP_CipherUpdate(context, buffer, length, text, #text) ~= 1
    then
        return nil, name .. "Update failed"
    end
    return buffer
end

-- Ends it: the result, or nil and why not.
local function finish(self, buffer, name)
    if openssl.EVP_CipherFinal_ex(self.context, buffer + length[0], rest) ~= 1 then
        openssl.ERR_clear_error()
        return nil, name .. "Final_ex failed"
    end
    return ffi.string(buffer, length[0] + rest[0])
end

function module.encrypt(self, text, aad)
    if type(self) ~= "table" then
        error("bad argument #1 self: table expected, got " .. type(self), 2)
    end
    local buffer, why = begin(self, 1, text, aad)
    if not buffer then
        return nil, why
    end
    local result
    result, why = finish(self, buffer, "EVP_Encrypt")
    if result and self.is_gcm then
        local tag = ffi.new("unsigned char[?]", TAG)
        openssl.EVP_CIPHER_CTX_ctrl(self.context, GET_TAG, TAG, tag)
        return { result, ffi.string(tag, TAG) }
    end
    return result, why
end

function module.decrypt(self, text, tag, aad)
    if type(self) ~= "table" then
        error("bad argument #1 self: table expected, got " .. type(self), 2)
    end
    local buffer, why = begin(self, 0, text, aad)
    if not buffer then
        return nil, why
    end
    if self.is_gcm and tag ~= nil then
        local own = ffi.new("unsigned char[?]", TAG)
        ffi.copy(own, tag, TAG)
        openssl.EVP_CIPHER_CTX_ctrl(self.context, SET_TAG, TAG, own)
    end
    return finish(self, buffer, "EVP_Decrypt")
end

return module
