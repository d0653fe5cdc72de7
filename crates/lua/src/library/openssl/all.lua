-- resty.openssl: the modules under one name.

local module = { _VERSION = "1.5.1", version = require("tidegate.openssl").text(require("tidegate.openssl").OpenSSL_version(0)) }

local parts = { "bn", "cipher", "digest", "hmac", "kdf", "pkey", "rand", "x509" }

function module.load_modules()
    for _, name in ipairs(parts) do
        module[name] = require("resty.openssl." .. name)
    end
end
module.load_modules()

-- There is no other mode.
function module.get_fips_mode()
    return false
end

function module.set_fips_mode(enable)
    if enable then
        return false, "FIPS mode is not supported"
    end
    return true
end

return module
