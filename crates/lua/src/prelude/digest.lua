-- Digests and base64.

local kit = ...
local ngx, C = kit.ngx, kit.C

local host, stringify, given = kit.host, kit.stringify, kit.given
local digest_md5, digest_sha1, digest_hmac_sha1 = C.digest_md5, C.digest_sha1, C.digest_hmac_sha1
local digest_crc32, base64_encode, base64_decode = C.digest_crc32, C.base64_encode, C.base64_decode
local error, format, gsub, rawset, setmetatable, type = error, string.format, string.gsub, rawset, setmetatable, type
local code = string.byte

-- Each byte in hexadecimal, from the first time that it is looked for.
local HEX = setmetatable({}, {
    __index = function(all, byte)
        local text = format("%02x", code(byte))
        rawset(all, byte, text)
        return text
    end,
})

function ngx.md5_bin(text)
    text = stringify(text)
    digest_md5(host, text, #text)
    return given()
end

function ngx.md5(text)
    return (gsub(ngx.md5_bin(text), ".", HEX))
end

function ngx.sha1_bin(text)
    text = stringify(text)
    digest_sha1(host, text, #text)
    return given()
end

function ngx.hmac_sha1(key, text)
    key, text = stringify(key), stringify(text)
    digest_hmac_sha1(host, key, #key, text, #text)
    return given()
end

-- The two differ only in how nginx computes them.
function ngx.crc32_long(text)
    text = stringify(text)
    local sum = digest_crc32(host, text, #text)
    return sum
end
ngx.crc32_short = ngx.crc32_long

function ngx.encode_base64(text, no_padding)
    if no_padding ~= nil and type(no_padding) ~= "boolean" then
        error("bad no_padding: boolean expected, got " .. type(no_padding), 2)
    end
    text = stringify(text)
    base64_encode(host, text, #text, no_padding and 0 or 1)
    return given()
end

local function decode(text)
    if base64_decode(host, text, #text) == 0 then
        return given()
    end
    return nil
end

function ngx.decode_base64(text)
    if type(text) ~= "string" then
        error("string argument only", 2)
    end
    return decode(text)
end

-- Characters that are not of base64 are left out first.
function ngx.decode_base64mime(text)
    if type(text) ~= "string" then
        error("string argument only", 2)
    end
    return decode((gsub(text, "[^A-Za-z0-9+/]", "")))
end

-- The module ngx.base64: the alphabet for URLs, without padding.
local to_url = { ["+"] = "-", ["/"] = "_" }
local from_url = { ["-"] = "+", ["_"] = "/" }
local encode_base64 = ngx.encode_base64

package.preload["ngx.base64"] = function()
    local module = { version = "0.1.31" }

    function module.encode_base64url(text)
        if type(text) ~= "string" then
            return nil, "must provide a string"
        end
        return (gsub(encode_base64(text, true), "[+/]", to_url))
    end

    function module.decode_base64url(text)
        if type(text) ~= "string" then
            return nil, "must provide a string"
        end
        local decoded
        if not string.find(text, "[+/]") then
            decoded = decode((gsub(text, "[-_]", from_url)))
        end
        if not decoded then
            return nil, "invalid input"
        end
        return decoded
    end

    return module
end
