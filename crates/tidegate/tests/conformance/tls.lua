-- Clients that speak TLS. `handshake.with(code)` shakes hands with the gateway itself while that code chooses the certificate: it gives
-- what the code returned, and whether hands were shaken.

--# ngx.ssl.clear_certs ngx.ssl.set_der_cert ngx.ssl.set_der_priv_key
--@ tls
ngx.say(require "handshake".with [[
    local ssl = require "ngx.ssl"
    local cert, key = io.open("{certificate}"):read "*a", io.open("{key}"):read "*a"
    return ssl.clear_certs(), ssl.set_der_cert(ssl.cert_pem_to_der(cert)), ssl.set_der_priv_key(ssl.priv_key_pem_to_der(key))
]])
ngx.say(require "handshake".with 'return require "ngx.ssl".clear_certs()')
--> true true true shaken
--> true handshake failed

--# ngx.ssl.set_cert ngx.ssl.set_priv_key
--@ tls
ngx.say(require "handshake".with [[
    local ssl = require "ngx.ssl"
    local cert, key = io.open("{certificate}"):read "*a", io.open("{key}"):read "*a"
    return ssl.clear_certs(), ssl.set_cert(ssl.parse_pem_cert(cert)), ssl.set_priv_key(ssl.parse_pem_priv_key(key))
]])
--> true true true shaken

--! ngx.ssl.set_der_cert ngx.ssl.set_der_priv_key ngx.ssl.set_priv_key
--@ tls
ngx.say(require "handshake".with [[
    local ssl, pkey = require "ngx.ssl", require "resty.openssl.pkey"
    local cert = io.open("{certificate}"):read "*a"
    ssl.set_der_cert(ssl.cert_pem_to_der(cert))
    local other = ssl.parse_pem_priv_key(pkey.new({ type = "EC", curve = "prime256v1" }):to_PEM "private")
    return select(2, ssl.set_der_cert "x"), select(2, ssl.set_der_priv_key "x"), select(2, ssl.set_priv_key(other))
]])
--> d2i_X509_bio() failed d2i_PrivateKey_bio() failed SSL_use_PrivateKey() failed handshake failed

--# ngx.ssl.server_name ngx.ssl.server_port ngx.ssl.raw_server_addr ngx.ssl.raw_client_addr ngx.ssl.get_tls1_version
--& ngx.ssl.get_tls1_version_str ngx.ssl.get_client_random
--@ tls
ngx.say((require "handshake".with [[
    local ssl = require "ngx.ssl"
    local own, own_type = ssl.raw_server_addr()
    local client, client_type = ssl.raw_client_addr()
    local version = ssl.get_tls1_version()
    return ssl.server_name(), ssl.server_port() == {securePort}, own == "\127\0\0\1", own_type, client == own, client_type,
        version == ssl.TLS1_3_VERSION, ssl.get_tls1_version_str(), #ssl.get_client_random(), ssl.get_client_random(0),
        #ssl.get_client_random(7)
]]))
--> localhost true true inet true inet true TLSv1.3 32 32 7 shaken

--! ngx.ssl.set_cert ngx.ssl.clear_certs ngx.ssl.server_name ngx.ssl.server_port ngx.ssl.raw_server_addr
--& ngx.ssl.raw_client_addr ngx.ssl.get_tls1_version ngx.ssl.get_tls1_version_str ngx.ssl.get_client_random
--@ tls
local ssl, seen = require "ngx.ssl", {}
for _, name in ipairs { "clear_certs", "server_name", "server_port", "raw_server_addr", "raw_client_addr", "get_tls1_version", "get_tls1_version_str", "get_client_random" } do
    seen[#seen + 1] = select(2, ssl[name]())
end
seen[#seen + 1] = select(2, ssl.set_cert(ssl.parse_pem_cert(io.open("{certificate}"):read "*a")))
table.sort(seen)
ngx.say(#seen, " ", seen[1], " ", seen[1] == seen[#seen])
--> 9 bad request true

--# ngx.ssl.export_keying_material
--@ tls
ngx.say(require "handshake".asking [[
    local ssl = require "ngx.ssl"
    local key = ssl.export_keying_material(16, "EXPERIMENTAL label", "context")
    return #key, key == ssl.export_keying_material(16, "EXPERIMENTAL label", "context"),
        key == ssl.export_keying_material(16, "EXPERIMENTAL label"), key == ssl.export_keying_material(16, "other", "context")
]])
--> 16 true false false shaken
--! ngx.ssl.export_keying_material
--@ tls
ngx.say(require("ngx.ssl").export_keying_material(16, "EXPERIMENTAL label"))
ngx.say(require "handshake".asking [[
    local ssl = require "ngx.ssl"
    return select(2, ssl.export_keying_material(-1, "EXPERIMENTAL label")), ssl.export_keying_material(65536, "EXPERIMENTAL label")
]])
--> nilbad request
--> SSL_export_keying_material() failed nil SSL_export_keying_material() failed shaken

--# ngx.ssl.get_server_random ngx.ssl.get_shared_ssl_ciphers ngx.ssl.get_req_ssl_pointer ngx.ssl.get_session_id
--& ngx.ssl.export_keying_material_early
local module, seen = require "ngx.ssl", {}
for _, name in ipairs { "get_server_random", "get_shared_ssl_ciphers", "get_req_ssl_pointer", "get_session_id", "export_keying_material_early" } do
    seen[#seen + 1] = select(2, module[name]("a", "b"))
end
table.sort(seen)
ngx.say(#seen, " ", seen[1], " ", seen[1] == seen[#seen])
--> 5 there is no such phase, and no such part of a handshake, here true
--! ngx.ssl.get_server_random ngx.ssl.get_shared_ssl_ciphers ngx.ssl.get_req_ssl_pointer ngx.ssl.get_session_id
--& ngx.ssl.export_keying_material_early
local module, answers = require "ngx.ssl", 0
for _, name in ipairs { "get_server_random", "get_shared_ssl_ciphers", "get_req_ssl_pointer", "get_session_id", "export_keying_material_early" } do
    answers = answers + (module[name]() and 1 or 0)
end
ngx.say(answers)
--> 0

--# ngx.ssl.verify_client
--@ tls
ngx.say(require "handshake".with [[
    local ssl = require "ngx.ssl"
    return ssl.verify_client(ssl.parse_pem_cert(io.open("{certificate}"):read "*a"), 1), ssl.verify_client()
]])
--> true true shaken
--! ngx.ssl.verify_client
--@ tls
ngx.say(require("ngx.ssl").verify_client())
ngx.say(require "handshake".hearing 'return select(2, require "ngx.ssl".verify_client())')
--> nilbad request
--> bad ssl conn: the certificate can be chosen in ssl_certificate_by_lua* only shaken

--# ngx.ssl.clienthello.get_client_hello_server_name ngx.ssl.clienthello.get_supported_versions
--& ngx.ssl.clienthello.get_client_hello_ext ngx.ssl.clienthello.get_client_hello_ext_present
--& ngx.ssl.clienthello.get_client_hello_ciphers ngx.ssl.clienthello.set_protocols
--@ tls
ngx.say(require "handshake".hearing [[
    local hello = require "ngx.ssl.clienthello"
    local present = {}
    for _, kind in ipairs(hello.get_client_hello_ext_present()) do
        present[kind] = true
    end
    return hello.get_client_hello_server_name(), table.concat(hello.get_supported_versions(), ","), present[0], present[9999],
        #hello.get_client_hello_ext(0), hello.get_client_hello_ext(9999), #hello.get_client_hello_ciphers() > 3,
        hello.set_protocols { "TLSv1.2", "TLSv1.1" }
]])
--> localhost TLSv1.2,TLSv1.3 true nil 14 nil true true shaken
--! ngx.ssl.clienthello.get_client_hello_server_name ngx.ssl.clienthello.get_supported_versions
--& ngx.ssl.clienthello.get_client_hello_ext ngx.ssl.clienthello.get_client_hello_ext_present
--& ngx.ssl.clienthello.get_client_hello_ciphers ngx.ssl.clienthello.set_protocols
--@ tls
local module, seen = require "ngx.ssl.clienthello", {}
local arguments = { get_client_hello_ext = 0, set_protocols = { "TLSv1.2" } }
for _, name in ipairs { "get_client_hello_server_name", "get_supported_versions", "get_client_hello_ext", "get_client_hello_ext_present", "get_client_hello_ciphers", "set_protocols" } do
    seen[#seen + 1] = select(2, pcall(module[name], arguments[name])):match "API disabled in the current context"
end
ngx.say(#seen)
ngx.say(require "handshake".hearing 'return select(2, require "ngx.ssl.clienthello".set_protocols { "TLSv9" })')
ngx.say(require "handshake".hearing 'return require "ngx.ssl.clienthello".set_protocols { "TLSv1" }')
--> 6
--> invalid protocols failed shaken
--> true handshake failed

--# ngx.ssl.proxysslcert.set_cert ngx.ssl.proxysslcert.set_priv_key ngx.ssl.proxysslcert.set_der_cert
--& ngx.ssl.proxysslcert.set_der_priv_key ngx.ssl.proxysslcert.clear_certs
local module, seen = require "ngx.ssl.proxysslcert", {}
for _, name in ipairs { "set_cert", "set_priv_key", "set_der_cert", "set_der_priv_key", "clear_certs" } do
    seen[#seen + 1] = select(2, module[name]("a", "b"))
end
table.sort(seen)
ngx.say(#seen, " ", seen[1], " ", seen[1] == seen[#seen])
--> 5 there is no such phase, and no such part of a handshake, here true
--! ngx.ssl.proxysslcert.set_cert ngx.ssl.proxysslcert.set_priv_key ngx.ssl.proxysslcert.set_der_cert
--& ngx.ssl.proxysslcert.set_der_priv_key ngx.ssl.proxysslcert.clear_certs
local module, answers = require "ngx.ssl.proxysslcert", 0
for _, name in ipairs { "set_cert", "set_priv_key", "set_der_cert", "set_der_priv_key", "clear_certs" } do
    answers = answers + (module[name]() and 1 or 0)
end
ngx.say(answers)
--> 0

--# ngx.ssl.session.get_serialized_session ngx.ssl.session.get_session_id ngx.ssl.session.set_serialized_session
--@ tls
ngx.say(table.concat({ require "handshake".keeping([[
    local session = require "ngx.ssl.session"
    local id = session.get_session_id()
    ngx.sleep(0.001)
    ngx.shared.notes:set("session " .. id, session.get_serialized_session())
    return ngx.get_phase(), #id
]], [[
    local session = require "ngx.ssl.session"
    local kept = ngx.shared.notes:get("session " .. session.get_session_id())
    return ngx.get_phase(), #kept > 100, session.set_serialized_session(kept)
]]) }, ", "))
--> ssl_session_store 64 shaken, ssl_session_fetch true true shaken, r
--! ngx.ssl.session.get_serialized_session ngx.ssl.session.get_session_id ngx.ssl.session.set_serialized_session
--@ tls
local session = require "ngx.ssl.session"
ngx.say(session.get_session_id())
ngx.say(session.get_serialized_session())
ngx.say(session.set_serialized_session "a")
ngx.say(table.concat({ require "handshake".keeping([[
    return require "ngx.ssl.session".set_serialized_session "a"
]], [[
    local session = require "ngx.ssl.session"
    return tostring(session.get_serialized_session()), session.set_serialized_session "==garbage data=="
]]) }, ", "))
--> niluninitialized session id len in lua context
--> nilbad session in lua context
--> nilbad lua context
--> nil bad lua context shaken, nil nil failed to de-serialize session shaken, .

--# ngx.ocsp.get_ocsp_responder_from_der_chain ngx.ocsp.create_ocsp_request ngx.ocsp.validate_ocsp_response
--& ngx.ocsp.set_ocsp_status_resp
--@ tls
local ocsp, ssl = require "ngx.ocsp", require "ngx.ssl"
local function read(path) return io.open(path):read "*a" end
local chain = ssl.cert_pem_to_der(read "{certificate}" .. read "{authority}")
ngx.say(ocsp.get_ocsp_responder_from_der_chain(chain), " ", #ocsp.create_ocsp_request(chain) > 60)
ngx.say((ocsp.validate_ocsp_response(read "{staple}", chain)))
ngx.say(require "handshake".with [[
    return require "ngx.ocsp".set_ocsp_status_resp(io.open("{staple}"):read "*a")
]])
--> nil true
--> true
--> true shaken
--! ngx.ocsp.get_ocsp_responder_from_der_chain ngx.ocsp.create_ocsp_request ngx.ocsp.validate_ocsp_response
--& ngx.ocsp.set_ocsp_status_resp
--@ tls
local ocsp, ssl = require "ngx.ocsp", require "ngx.ssl"
local function read(path) return io.open(path):read "*a" end
local own, authority = ssl.cert_pem_to_der(read "{certificate}"), ssl.cert_pem_to_der(read "{authority}")
ngx.say(ocsp.get_ocsp_responder_from_der_chain "x")
ngx.say(ocsp.create_ocsp_request(own))
ngx.say((select(2, ocsp.create_ocsp_request(own .. authority, 5)):gsub("%d%d+", "N")))
ngx.say(ocsp.validate_ocsp_response("x", own .. authority))
ngx.say(ocsp.validate_ocsp_response(read "{staple}", authority .. authority))
ngx.say(ocsp.validate_ocsp_response(read "{staple}", own .. own, 10))
ngx.say(ocsp.set_ocsp_status_resp "x")
--> nild2i_X509_bio() failed
--> nilno issuer certificate in chain
--> output buffer too small: N > 5
--> nild2i_OCSP_RESPONSE() failed
--> nilcertificate status not found in the OCSP response
--> nilcertificat
--> nilbad request
