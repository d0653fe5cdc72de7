-- resty.random.

local kit = ...
local ffi = require "ffi"
local rand_bytes = kit.symbol("RAND_bytes", "int (*)(unsigned char *, size_t)")

local module = { _VERSION = "0.17" }

-- All bytes are strong, whether that is asked for or not.
function module.bytes(length)
    local buffer = ffi.new("unsigned char[?]", length)
    if rand_bytes(buffer, length) ~= 1 then
        return nil
    end
    return ffi.string(buffer, length)
end

return module
