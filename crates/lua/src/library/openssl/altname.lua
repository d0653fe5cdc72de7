-- resty.openssl.x509.altname: the other names of who a certificate is for: pairs of a kind and a name.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local setmetatable, tonumber = setmetatable, tonumber

local kinds = { [1] = "email", [2] = "DNS", [6] = "URI", [7] = "IP" }

local methods = {}
local metatable = { __index = methods }

local function address(bytes)
    if #bytes == 4 then
        return string.format("%d.%d.%d.%d", string.byte(bytes, 1, 4))
    end
    return (string.gsub(string.gsub(bytes, "..", function(pair)
        return string.format("%x:", string.byte(pair, 1) * 256 + string.byte(pair, 2))
    end), ":$", ""))
end

-- Reads the names, which it frees.
function methods.read(pointer)
    local names = setmetatable({}, metatable)
    local kind = ffi.new "int[1]"
    for index = 0, tonumber(openssl.OPENSSL_sk_num(pointer)) - 1 do
        local value = openssl.GENERAL_NAME_get0_value(openssl.OPENSSL_sk_value(pointer, index), kind)
        local name = kinds[kind[0]]
        if name then
            local data = ffi.cast("const char *", openssl.ASN1_STRING_get0_data(value))
            local bytes = ffi.string(data, openssl.ASN1_STRING_length(value))
            names[#names + 1] = { name, name == "IP" and address(bytes) or bytes }
        end
    end
    openssl.GENERAL_NAMES_free(pointer)
    return names
end

function methods.each(names)
    local index = 0
    return function()
        index = index + 1
        if names[index] then
            return names[index][1], names[index][2]
        end
    end
end

function methods.tostring(names)
    local parts = {}
    for index = 1, #names do
        parts[index] = table.concat(names[index], "=")
    end
    return table.concat(parts, "/")
end
metatable.__tostring = methods.tostring

return methods
