-- TLS on a stream socket.

local kit = ...
local C, block, host, wait, given, check = kit.C, kit.block, kit.host, kit.wait, kit.given, kit.check
local failure, log_error, methods, new_handle = kit.socket_failure, kit.log_socket_error, kit.tcp_methods, kit.new_handle
local number_of, YIELDABLE = kit.socket_number, kit.SOCKET_PHASES
local ffi = require "ffi"
local istype = ffi.istype
local error, select, tonumber, tostring, type = error, select, tonumber, tostring, type

local OK, WAIT = 0, 1

local tcp_handshake, tcp_session, tcp_trouble = C.tcp_handshake, C.tcp_session, C.tcp_trouble
local stage = C.tcp_stage_identity
local CLIENT_CERTIFICATE, CLIENT_KEY, TRUSTED = 6, 7, 12
local VERIFY, KEEP_SESSION, IDENTITY = 1, 2, 4

local function existing(socket)
    return number_of(socket) or error("socket is never created nor connected", 3)
end
kit.existing_socket = existing

-- The session of a connection, to shake hands faster the next time.
local function session_of(number)
    if tcp_session(host, number) == OK then
        return new_handle(block.number)
    end
end

-- Hands the host what `setclientcert` was given. Answers whether it could be read.
local function stage_identity(socket)
    local openssl = require "tidegate.openssl"
    local chain = socket[CLIENT_CERTIFICATE]
    local key = openssl.written(function(memory)
        return openssl.i2d_PKCS8PrivateKey_bio(memory, socket[CLIENT_KEY], nil, nil, 0, nil, nil)
    end)
    if not key then
        return false
    end
    stage(host, key, #key, 1)
    for index = 0, tonumber(openssl.OPENSSL_sk_num(chain)) - 1 do
        local certificate = openssl.der("i2d_X509", openssl.OPENSSL_sk_value(chain, index))
        stage(host, certificate, #certificate, 0)
    end
    return true
end

function methods.sslhandshake(socket, reused, name, verify, _, ...)
    local extra = select("#", ...)
    if not socket or extra > 0 then
        error("ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen "
            .. (socket and 5 + extra or 0), 2)
    end
    check(YIELDABLE)
    local number = existing(socket)
    local flags = (verify and VERIFY or 0) + (reused ~= false and KEEP_SESSION or 0)
    if socket[CLIENT_CERTIFICATE] then
        if not stage_identity(socket) then
            return nil, "lua tcp socket failed to read the private key"
        end
        flags = flags + IDENTITY
    end
    name = name and tostring(name) or ""
    local session = istype(new_handle, reused) and reused.number or -1
    local store = socket[TRUSTED] and ffi.cast("uintptr_t", ffi.cast("void *", socket[TRUSTED])) or 0
    local code = tcp_handshake(host, number, name, #name, flags, session, store)
    if code == WAIT then
        local ok, why = wait()
        if not ok then
            tcp_trouble(host, number)
            local trouble = given()
            if trouble ~= "" then
                log_error(trouble)
            end
            return nil, why
        end
    elseif code ~= OK then
        return failure(code)
    end
    if reused == false then
        return true
    end
    return session_of(number) or reused
end

-- As some forks call it, with one table.
function methods.tlshandshake(socket, options)
    options = options or {}
    if options.client_cert or options.client_priv_key then
        local ok, why = socket:setclientcert(options.client_cert, options.client_priv_key)
        if not ok then
            return nil, why
        end
    end
    return socket:sslhandshake(options.reused_session, options.server_name, options.verify, options.ocsp_status_req)
end

function methods.setclientcert(socket, certificate, key)
    if not certificate and not key then
        socket[CLIENT_CERTIFICATE], socket[CLIENT_KEY] = nil, nil
        return true
    elseif not certificate or not key then
        return nil, "client certificate must be supplied with corresponding private key"
    elseif type(certificate) ~= "cdata" then
        return nil, "bad cert arg: cdata expected, got " .. type(certificate)
    elseif type(key) ~= "cdata" then
        return nil, "bad pkey arg: cdata expected, got " .. type(key)
    end
    socket[CLIENT_CERTIFICATE], socket[CLIENT_KEY] = certificate, key
    return true
end

function methods.settrustedstore(socket, store)
    if store ~= nil and type(store) ~= "cdata" then
        return nil, "bad store arg: cdata expected, got " .. type(store)
    end
    socket[TRUSTED] = store
    return true
end

function methods.getsslsession(socket)
    local session = session_of(existing(socket))
    if session then
        return session
    end
    return nil, "not connected by SSL"
end
