-- resty.random.

local kit = ...
local ffi = require "ffi"
local rand_bytes = kit.symbol("RAND_bytes", "int (*)(unsigned char *, size_t)")

local error, floor, tonumber, tostring = error, math.floor, tonumber, tostring

local module = { _VERSION = "0.17" }

local LONGEST = 2 ^ 30

-- All bytes are strong, whether that is asked for or not.
function module.bytes(length)
    local count = tonumber(length)
    -- A buffer of another length than what is written into it would be worse than an error.
    if not count or not (count >= 0 and count <= LONGEST) then
        error("bad argument #1 to 'bytes' (number of bytes expected, got " .. tostring(length) .. ")", 2)
    end
    length = floor(count)
    local buffer = ffi.new("unsigned char[?]", length)
    if rand_bytes(buffer, length) ~= 1 then
        return nil
    end
    return ffi.string(buffer, length)
end

return module
