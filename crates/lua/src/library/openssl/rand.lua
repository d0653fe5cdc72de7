-- resty.openssl.rand.

local bytes = require("resty.random").bytes

local module = {}

function module.bytes(length)
    if type(length) ~= "number" then
        return nil, "rand.bytes: expect a number at #1"
    end
    local made = bytes(length)
    if not made then
        return nil, "rand.bytes: RAND_bytes failed"
    end
    return made
end

return module
