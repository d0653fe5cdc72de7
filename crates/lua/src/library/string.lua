-- resty.string.

local kit = ...
local ffi = require "ffi"
local hex_dump = kit.symbol("ngx_hex_dump", "unsigned char *(*)(unsigned char *, const char *, size_t)")
local atoi = kit.symbol("ngx_atoi", "intptr_t (*)(const char *, size_t)")
local tonumber = tonumber

local module = { _VERSION = "0.17" }

function module.to_hex(text)
    local length = #text
    local buffer = ffi.new("unsigned char[?]", length * 2)
    hex_dump(buffer, text, length)
    return ffi.string(buffer, length * 2)
end

function module.atoi(text)
    return tonumber(atoi(text, #text))
end

return module
