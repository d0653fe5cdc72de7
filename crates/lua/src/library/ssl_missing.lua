-- Modules about what handshakes do not have here: they load, and their functions say what is missing.

local _, name = ...
local missing = require("ngx.ssl").MISSING

local functions = {
    ["ngx.ssl.proxysslcert"] = { "set_cert", "set_priv_key", "set_der_cert", "set_der_priv_key", "clear_certs" },
}

local module = { version = "0.1.31" }
for _, function_name in ipairs(functions[name]) do
    module[function_name] = function()
        return nil, missing
    end
end

return module
