-- TLS with clients. Listeners do not speak it yet, which is what all of these answer, by value and as their error.

--# ngx.ssl.set_cert ngx.ssl.set_priv_key ngx.ssl.set_der_cert ngx.ssl.set_der_priv_key ngx.ssl.clear_certs
--& ngx.ssl.server_name ngx.ssl.server_port ngx.ssl.raw_server_addr ngx.ssl.raw_client_addr ngx.ssl.get_tls1_version
--& ngx.ssl.get_tls1_version_str ngx.ssl.verify_client ngx.ssl.get_client_random ngx.ssl.get_server_random
--& ngx.ssl.get_shared_ssl_ciphers ngx.ssl.get_req_ssl_pointer ngx.ssl.get_session_id ngx.ssl.export_keying_material
--& ngx.ssl.export_keying_material_early
local module, seen = require "ngx.ssl", {}
for _, name in ipairs { "set_cert", "set_priv_key", "set_der_cert", "set_der_priv_key", "clear_certs", "server_name", "server_port", "raw_server_addr", "raw_client_addr", "get_tls1_version", "get_tls1_version_str", "verify_client", "get_client_random", "get_server_random", "get_shared_ssl_ciphers", "get_req_ssl_pointer", "get_session_id", "export_keying_material", "export_keying_material_early" } do
    seen[#seen + 1] = select(2, module[name]("a", "b"))
end
table.sort(seen)
ngx.say(#seen, " ", seen[1], " ", seen[1] == seen[#seen])
--> 19 bad ssl conn: listeners of Tidegate do not speak TLS yet true
--! ngx.ssl.set_cert ngx.ssl.set_priv_key ngx.ssl.set_der_cert ngx.ssl.set_der_priv_key ngx.ssl.clear_certs
--& ngx.ssl.server_name ngx.ssl.server_port ngx.ssl.raw_server_addr ngx.ssl.raw_client_addr ngx.ssl.get_tls1_version
--& ngx.ssl.get_tls1_version_str ngx.ssl.verify_client ngx.ssl.get_client_random ngx.ssl.get_server_random
--& ngx.ssl.get_shared_ssl_ciphers ngx.ssl.get_req_ssl_pointer ngx.ssl.get_session_id ngx.ssl.export_keying_material
--& ngx.ssl.export_keying_material_early
local module, answers = require "ngx.ssl", 0
for _, name in ipairs { "set_cert", "set_priv_key", "set_der_cert", "set_der_priv_key", "clear_certs", "server_name", "server_port", "raw_server_addr", "raw_client_addr", "get_tls1_version", "get_tls1_version_str", "verify_client", "get_client_random", "get_server_random", "get_shared_ssl_ciphers", "get_req_ssl_pointer", "get_session_id", "export_keying_material", "export_keying_material_early" } do
    answers = answers + (module[name]() and 1 or 0)
end
ngx.say(answers)
--> 0

--# ngx.ssl.clienthello.get_client_hello_server_name ngx.ssl.clienthello.get_supported_versions
--& ngx.ssl.clienthello.get_client_hello_ext ngx.ssl.clienthello.get_client_hello_ext_present
--& ngx.ssl.clienthello.get_client_hello_ciphers ngx.ssl.clienthello.set_protocols
local module, seen = require "ngx.ssl.clienthello", {}
for _, name in ipairs { "get_client_hello_server_name", "get_supported_versions", "get_client_hello_ext", "get_client_hello_ext_present", "get_client_hello_ciphers", "set_protocols" } do
    seen[#seen + 1] = select(2, module[name]("a", "b"))
end
table.sort(seen)
ngx.say(#seen, " ", seen[1], " ", seen[1] == seen[#seen])
--> 6 bad ssl conn: listeners of Tidegate do not speak TLS yet true
--! ngx.ssl.clienthello.get_client_hello_server_name ngx.ssl.clienthello.get_supported_versions
--& ngx.ssl.clienthello.get_client_hello_ext ngx.ssl.clienthello.get_client_hello_ext_present
--& ngx.ssl.clienthello.get_client_hello_ciphers ngx.ssl.clienthello.set_protocols
local module, answers = require "ngx.ssl.clienthello", 0
for _, name in ipairs { "get_client_hello_server_name", "get_supported_versions", "get_client_hello_ext", "get_client_hello_ext_present", "get_client_hello_ciphers", "set_protocols" } do
    answers = answers + (module[name]() and 1 or 0)
end
ngx.say(answers)
--> 0

--# ngx.ssl.proxysslcert.set_cert ngx.ssl.proxysslcert.set_priv_key ngx.ssl.proxysslcert.set_der_cert
--& ngx.ssl.proxysslcert.set_der_priv_key ngx.ssl.proxysslcert.clear_certs
local module, seen = require "ngx.ssl.proxysslcert", {}
for _, name in ipairs { "set_cert", "set_priv_key", "set_der_cert", "set_der_priv_key", "clear_certs" } do
    seen[#seen + 1] = select(2, module[name]("a", "b"))
end
table.sort(seen)
ngx.say(#seen, " ", seen[1], " ", seen[1] == seen[#seen])
--> 5 bad ssl conn: listeners of Tidegate do not speak TLS yet true
--! ngx.ssl.proxysslcert.set_cert ngx.ssl.proxysslcert.set_priv_key ngx.ssl.proxysslcert.set_der_cert
--& ngx.ssl.proxysslcert.set_der_priv_key ngx.ssl.proxysslcert.clear_certs
local module, answers = require "ngx.ssl.proxysslcert", 0
for _, name in ipairs { "set_cert", "set_priv_key", "set_der_cert", "set_der_priv_key", "clear_certs" } do
    answers = answers + (module[name]() and 1 or 0)
end
ngx.say(answers)
--> 0

--# ngx.ssl.session.get_serialized_session ngx.ssl.session.get_session_id ngx.ssl.session.set_serialized_session
local module, seen = require "ngx.ssl.session", {}
for _, name in ipairs { "get_serialized_session", "get_session_id", "set_serialized_session" } do
    seen[#seen + 1] = select(2, module[name]("a", "b"))
end
table.sort(seen)
ngx.say(#seen, " ", seen[1], " ", seen[1] == seen[#seen])
--> 3 bad ssl conn: listeners of Tidegate do not speak TLS yet true
--! ngx.ssl.session.get_serialized_session ngx.ssl.session.get_session_id ngx.ssl.session.set_serialized_session
local module, answers = require "ngx.ssl.session", 0
for _, name in ipairs { "get_serialized_session", "get_session_id", "set_serialized_session" } do
    answers = answers + (module[name]() and 1 or 0)
end
ngx.say(answers)
--> 0

--# ngx.ocsp.get_ocsp_responder_from_der_chain ngx.ocsp.create_ocsp_request ngx.ocsp.validate_ocsp_response
--& ngx.ocsp.set_ocsp_status_resp
local module, seen = require "ngx.ocsp", {}
for _, name in ipairs { "get_ocsp_responder_from_der_chain", "create_ocsp_request", "validate_ocsp_response", "set_ocsp_status_resp" } do
    seen[#seen + 1] = select(2, module[name]("a", "b"))
end
table.sort(seen)
ngx.say(#seen, " ", seen[1], " ", seen[1] == seen[#seen])
--> 4 bad ssl conn: listeners of Tidegate do not speak TLS yet true
--! ngx.ocsp.get_ocsp_responder_from_der_chain ngx.ocsp.create_ocsp_request ngx.ocsp.validate_ocsp_response
--& ngx.ocsp.set_ocsp_status_resp
local module, answers = require "ngx.ocsp", 0
for _, name in ipairs { "get_ocsp_responder_from_der_chain", "create_ocsp_request", "validate_ocsp_response", "set_ocsp_status_resp" } do
    answers = answers + (module[name]() and 1 or 0)
end
ngx.say(answers)
--> 0
