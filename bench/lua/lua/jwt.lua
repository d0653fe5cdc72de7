-- Verifies tokens that are signed with HMAC-SHA-256 (RFC 7519, `HS256`).

local cjson = require "cjson.safe"

-- OpenSSL's function, which both servers have under this name.
local ffi = require "ffi"
ffi.cdef [[
    typedef struct evp_md_st EVP_MD;
    const EVP_MD *EVP_sha256(void);
    unsigned char *HMAC(const EVP_MD *md, const void *key, int key_length, const unsigned char *text,
                        size_t text_length, unsigned char *digest, unsigned int *digest_length);
]]
local C = ffi.C
local digest = ffi.new "unsigned char[32]"

local function hmac_sha256(key, text)
    C.HMAC(C.EVP_sha256(), key, #key, text, #text, digest, nil)
    return ffi.string(digest, 32)
end

local swap = { ["-"] = "+", ["_"] = "/" }

local function decode(text)
    text = string.gsub(text, "[-_]", swap)
    return ngx.decode_base64(text .. string.rep("=", -#text % 4))
end

local jwt = {}

function jwt.verify(token, key)
    local parts = ngx.re.match(token, [[^([\w-]+)\.([\w-]+)\.([\w-]+)$]], "jo")
    if not parts then
        return nil, "not a token"
    end
    local header = cjson.decode(decode(parts[1]) or "")
    if not header or header.alg ~= "HS256" then
        return nil, "another algorithm"
    end
    if hmac_sha256(key, parts[1] .. "." .. parts[2]) ~= decode(parts[3]) then
        return nil, "a wrong signature"
    end
    local claims = cjson.decode(decode(parts[2]) or "")
    if not claims or claims.exp < ngx.time() then
        return nil, "expired"
    end
    return claims
end

return jwt
