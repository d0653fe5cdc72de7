-- ngx.ssl.clienthello: what a client says first, in the phase that it is for.

local kit = ...

local hello_name, hello_extension = kit.C.hello_name, kit.C.hello_extension
local hello_extensions, hello_ciphers, choosing_versions = kit.C.hello_extensions, kit.C.hello_ciphers, kit.C.choosing_versions
local host, given, NO_REQUEST = kit.host, kit.given, kit.NO_REQUEST
local bit = require "bit"
local band, bor = bit.band, bit.bor
local byte, error, ipairs = string.byte, error, ipairs
local PHASE, block = kit.phases "ssl_client_hello", kit.block

local SUPPORTED_VERSIONS = 43
local NAMES = {
    [0x0002] = "SSLv2", [0x0300] = "SSLv3", [0x0301] = "TLSv1", [0x0302] = "TLSv1.1", [0x0303] = "TLSv1.2", [0x0304] = "TLSv1.3",
}
local BITS = { SSLv2 = 0x02, SSLv3 = 0x04, TLSv1 = 0x08, ["TLSv1.1"] = 0x10, ["TLSv1.2"] = 0x20, ["TLSv1.3"] = 0x40 }

local module = { version = "0.1.31" }

local function check(code)
    if code == NO_REQUEST then
        error("no request found", 3)
    end
    if band(block.phase, PHASE) == 0 then
        error("API disabled in the current context", 3)
    end
    return code == 0
end

-- Numbers of two bytes each, without those that clients make up to keep servers from getting used to fewer.
local function numbers(bytes)
    local found = {}
    for at = 1, #bytes - 1, 2 do
        local high, low = byte(bytes, at, at + 1)
        if not (high == low and band(low, 0x0f) == 0x0a) then
            found[#found + 1] = high * 256 + low
        end
    end
    return found
end

function module.get_client_hello_server_name()
    if check(hello_name(host)) then
        return given()
    end
    return nil
end

function module.get_client_hello_ext(kind)
    if check(hello_extension(host, kind)) then
        return given()
    end
    return nil
end

function module.get_client_hello_ext_present()
    if check(hello_extensions(host)) then
        return numbers(given())
    end
    return nil
end

function module.get_client_hello_ciphers()
    if check(hello_ciphers(host)) then
        return numbers(given())
    end
    return nil
end

-- The newest last, as clients say them the other way round.
function module.get_supported_versions()
    if not check(hello_extension(host, SUPPORTED_VERSIONS)) then
        return nil
    end
    local content = given()
    if #content == 0 or byte(content) ~= #content - 1 then
        return nil
    end
    local names = {}
    for at = #content - 1, 2, -2 do
        local high, low = byte(content, at, at + 1)
        names[#names + 1] = NAMES[high * 256 + low]
    end
    return names
end

function module.set_protocols(names)
    local bits = 0
    for _, name in ipairs(names) do
        if not BITS[name] then
            return nil, "invalid protocols failed"
        end
        bits = bor(bits, BITS[name])
    end
    if check(choosing_versions(host, bits)) then
        return true
    end
    return nil
end

return module
