-- Modules about what handshakes do not have here: they load, and their functions say what is missing.

local _, name = ...
local missing = require("ngx.ssl").MISSING

local functions = {
    ["ngx.ssl.session"] = { "get_serialized_session", "get_session_id", "set_serialized_session" },
    ["ngx.ssl.clienthello"] = {
        "get_client_hello_server_name", "get_supported_versions", "get_client_hello_ext", "set_protocols",
        "get_client_hello_ext_present", "get_client_hello_ciphers",
    },
    ["ngx.ssl.proxysslcert"] = { "set_cert", "set_priv_key", "set_der_cert", "set_der_priv_key", "clear_certs" },
    ["ngx.ocsp"] = {
        "get_ocsp_responder_from_der_chain", "create_ocsp_request", "validate_ocsp_response", "set_ocsp_status_resp",
    },
}

local module = { version = "0.1.31" }
for _, function_name in ipairs(functions[name]) do
    module[function_name] = function()
        return nil, missing
    end
end

return module
