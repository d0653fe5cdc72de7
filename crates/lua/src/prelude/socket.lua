-- ngx.socket.tcp: stream sockets.
--
-- The host tries what is asked for and answers a code. Where it would block, it has prepared a wait: the loops here
-- wait and then go on, so a call that needs no waiting does not yield. A socket is a table, which has its number in
-- an object that releases it when nobody has it any more.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, wait, given, check = kit.block, kit.host, kit.wait, kit.given, kit.check
local NO_REQUEST = kit.NO_REQUEST
local ffi = require "ffi"
local new_table = require "table.new"
local getinfo = debug.getinfo
local concat, floor = table.concat, math.floor
local find, format, lower, sub = string.find, string.format, string.lower, string.sub
local error, getmetatable, next, select, setmetatable, tonumber, tostring, type =
    error, getmetatable, next, select, setmetatable, tonumber, tostring, type

local YIELDABLE = kit.phases("server_rewrite rewrite access precontent content timer ssl_cert ssl_session_fetch "
    .. "ssl_client_hello", "header_filter body_filter log balancer init_worker exit_worker")
local OK, WAIT, FAILED, CLOSED, BAD_REQUEST, PIECE, BAD_SIZE = 0, 1, 2, 3, 4, 5, 6

-- Where a socket keeps what belongs to it; numbers as OpenResty's own library has them.
local HANDLE, CONNECT_TIMEOUT, KEY, SEND_TIMEOUT, READ_TIMEOUT = 1, 2, 3, 4, 5
local BIND_ADDRESS, BIND_PORT = 8, 11

ffi.cdef "struct tidegate_socket { const uint32_t number; };"
local socket_release = C.socket_release
local new_handle = ffi.metatype("struct tidegate_socket", {
    __gc = function(handle)
        socket_release(host, handle.number)
    end,
})
kit.new_handle = new_handle
local istype = ffi.istype

-- What a socket has whose connection was kept for others: nothing is open under that number. Its handle waits among the
-- spare ones for the next socket, because to make one, and to collect it, costs more than all else about a socket.
local SPENT = 2 ^ 32 - 1
local spent = new_handle(SPENT)
local spare, MOST_SPARE = {}, 256

local socket_reason = C.socket_reason

-- Why the last call failed. What else it gave has to be read before.
local function reason()
    socket_reason(host)
    return given()
end
kit.reason = reason

-- Raises what is wrong with an argument of the function that calls this, as Lua's own functions do.
local function bad_argument(index, message)
    local info = getinfo(2, "n")
    if info.namewhat == "method" then
        index = index - 1
    end
    error(format("bad argument #%d to '%s' (%s)", index, info.name or "?", message), 3)
end
kit.bad_argument = bad_argument

local function type_name(value)
    return value == nil and "nil" or type(value)
end

-- The number of a socket's handle; nil if it never was connected. What a script put there instead is none.
local function number_of(socket)
    local handle = socket[HANDLE]
    return istype(new_handle, handle) and handle.number or nil
end

local socket_logs_errors = C.socket_logs_errors

local function log_error(message, level)
    if socket_logs_errors(host) == 1 then
        kit.log(level or ngx.ERR, message)
    end
end
kit.log_socket_error = log_error

local function closed(number, what)
    log_error(format("attempt to %s data on a closed socket: u:%016X, c:%016X, ft:0 eof:0", what, number or 0, 0))
    return nil, "closed"
end

-- What a function that answered neither OK nor WAIT comes to.
local function failure(code)
    if code == FAILED then
        return nil, reason()
    elseif code == CLOSED then
        return nil, "closed"
    elseif code == BAD_REQUEST then
        error("bad request", 3)
    else
        error("no request found", 3)
    end
end
kit.socket_failure = failure

local methods = {}

-- Connecting ---------------------------------------------------------------------------------------------------------

local tcp_new, tcp_connect, tcp_trouble = C.tcp_new, C.tcp_connect, C.tcp_trouble
local tcp_bind, tcp_settimeouts = C.tcp_bind, C.tcp_settimeouts

local function set_timeouts(socket, number)
    tcp_settimeouts(host, number, socket[CONNECT_TIMEOUT] or 0, socket[SEND_TIMEOUT] or 0, socket[READ_TIMEOUT] or 0)
end

local function make_handle(socket)
    local last = #spare
    local handle = spare[last]
    if handle then
        spare[last] = nil
    else
        local number = tcp_new(host)
        if number < 0 then
            error("no memory", 3)
        end
        handle = new_handle(number)
    end
    socket[HANDLE] = handle
    local number = handle.number
    return number
end

-- The number of a socket that is going to be used.
local function usable_number(socket)
    local number = number_of(socket)
    if not number or number == SPENT then
        return make_handle(socket)
    end
    return number
end

-- The pool that the options of connect ask for: name, size, backlog; or nil and what is wrong with them.
local function pooling(options)
    local size, backlog = options.pool_size, options.backlog
    if tonumber(size) then
        size = tonumber(size)
        if size <= 0 then
            return nil, format('bad "pool_size" option value: %d', size)
        end
    elseif size ~= nil then
        return nil, 'bad "pool_size" option type: ' .. type(size)
    end
    backlog = tonumber(backlog)
    if backlog and backlog < 0 then
        return nil, format('bad "backlog" option value: %d', backlog)
    end
    local name = options.pool
    if type(name) == "number" then
        name = tostring(name)
    elseif name ~= nil and type(name) ~= "string" then
        return nil, 'bad "pool" option type: ' .. type(name)
    end
    if backlog and not size then
        size = kit.socket_pool_size()
    end
    return name or false, size or -1, backlog or -1
end

function methods.connect(socket, address, ...)
    local count = select("#", ...) + 2
    if count > 4 or address == nil and count < 3 and type(socket) ~= "table" then
        error("ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen " .. count, 2)
    end
    check(YIELDABLE)
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    if type(address) == "number" then
        address = tostring(address)
    elseif type(address) ~= "string" then
        bad_argument(2, "string expected, got " .. (address == nil and "nil" or type(address)))
    end

    local port, options = ...
    local name, size, backlog = false, -1, -1
    local last = count > 2 and select(count - 2, ...)
    if type(last) == "table" then
        name, size, backlog = pooling(last)
        if name == nil then
            bad_argument(count, size)
        end
        if count == 3 then
            port = nil
        end
    end
    local numeric = tonumber(port)
    if numeric then
        if numeric < 0 or numeric > 65535 then
            return nil, format("bad port number: %d", numeric)
        end
        name = name or address .. ":" .. port
    elseif lower(sub(address, 1, 5)) == "unix:" then
        numeric = 0
        name = name or address
    else
        return nil, "missing the port number"
    end
    socket[KEY] = name

    local number = usable_number(socket)
    set_timeouts(socket, number)
    local code = tcp_connect(host, number, address, #address, numeric, name, #name, size, backlog)
    if code == OK then
        return 1
    elseif code == WAIT then
        local ok, why = wait()
        if ok then
            return 1
        end
        tcp_trouble(host, number)
        local trouble = given()
        if trouble ~= "" then
            -- A file that is not there is a mistake of the configuration rather than of the peer.
            log_error(trouble, find(trouble, "^connect%(%) to .*No such file") and ngx.CRIT)
        end
        return nil, why
    end
    return failure(code)
end

function methods.bind(socket, ...)
    local count = select("#", ...) + 1
    if count ~= 2 and count ~= 3 then
        error("expecting 2 or 3 arguments, but got " .. count, 2)
    end
    check(YIELDABLE)
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local address, port = ...
    if count == 3 then
        local numeric = tonumber(port)
        if not numeric then
            return nil, "expecting port to be anumber but got type: " .. type_name(port)
        end
        if numeric < 0 or numeric > 65535 then
            return nil, format("bad port number: %d", numeric)
        end
        port = numeric
    end
    if type(address) ~= "string" then
        bad_argument(2, "string expected, got " .. type_name(address))
    end
    if count == 2 and find(address, "^[%d.]+:") then
        return nil, "bad address"
    end
    local number = usable_number(socket)
    set_timeouts(socket, number)
    if tcp_bind(host, number, address, #address, port or -1) ~= OK then
        return nil, "bad address"
    end
    socket[BIND_ADDRESS] = address
    return true
end

local MOST = 2 ^ 31

local function timeout_of(value)
    local milliseconds = tonumber(value) or 0
    if milliseconds < 0 or milliseconds >= MOST then
        error("bad timeout value", 3)
    end
    local whole = floor(milliseconds)
    return whole
end

function methods.settimeout(socket, ...)
    if select("#", ...) ~= 1 then
        error("ngx.socket settimeout: expecting 2 arguments (including the object) but seen "
            .. select("#", ...) + 1, 2)
    end
    local timeout = timeout_of(...)
    socket[CONNECT_TIMEOUT], socket[SEND_TIMEOUT], socket[READ_TIMEOUT] = timeout, timeout, timeout
    local number = number_of(socket)
    if number then
        set_timeouts(socket, number)
    end
end

function methods.settimeouts(socket, ...)
    if select("#", ...) ~= 3 then
        error("ngx.socket settimeouts: expecting 4 arguments (including the object) but seen "
            .. select("#", ...) + 1, 2)
    end
    local connect, send, read = ...
    socket[CONNECT_TIMEOUT], socket[SEND_TIMEOUT], socket[READ_TIMEOUT] =
        timeout_of(connect), timeout_of(send), timeout_of(read)
    local number = number_of(socket)
    if number then
        set_timeouts(socket, number)
    end
end

-- Receiving ----------------------------------------------------------------------------------------------------------

local tcp_receive, tcp_receive_until = C.tcp_receive, C.tcp_receive_until
local tcp_receive_on, tcp_give_up = C.tcp_receive_on, C.tcp_give_up
local LINE, ALL, EXACTLY, ANY = 0, 1, 2, 3

-- Waits once and goes on: the new code, or false, why, and what had come.
local function wait_to_receive(number)
    local ok, why = wait()
    if ok then
        local code = tcp_receive_on(host, number)
        return code
    end
    tcp_give_up(host, number)
    local partial = given()
    if why == "timeout" then
        log_error("lua tcp socket read timed out")
    end
    return false, why, partial
end

-- Waits for as long as it takes.
local function wait_on_to_receive(number)
    local code, why, partial
    repeat
        code, why, partial = wait_to_receive(number)
    until code ~= WAIT
    return code, why, partial
end

-- Sees a receive to its end: the code of what was given or false, that, and if it failed why and what had come. One wait
-- is the rule and takes no loop, which would keep LuaJIT from compiling what is around it.
local function complete(number, code)
    local why, partial
    if code == WAIT then
        code, why, partial = wait_to_receive(number)
        if code == WAIT then
            code, why, partial = wait_on_to_receive(number)
        end
        if not code then
            return false, nil, why, partial
        end
    end
    if code == FAILED then
        partial = given()
        return false, nil, reason(), partial
    end
    return code
end

-- The usual outcome of a receive.
local function received(number, code)
    if code == OK then
        return given()
    elseif code == WAIT or code == FAILED then
        local _, why, partial
        code, _, why, partial = complete(number, code)
        if code then
            return given()
        end
        return nil, why, partial
    elseif code == CLOSED then
        return closed(number, "receive")
    end
    return failure(code)
end

function methods.receive(socket, ...)
    local count = select("#", ...)
    if count > 1 then
        error("expecting 1 or 2 arguments (including the object), but got " .. count + 1, 2)
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local number = number_of(socket)
    if not number then
        return closed(number, "receive")
    end
    local pattern = ...
    if count == 0 or pattern == "*l" then
        return received(number, tcp_receive(host, number, LINE, 0))
    end
    local size = tonumber(pattern)
    if size then
        if size < 0 then
            bad_argument(2, "bad number argument")
        end
        return received(number, tcp_receive(host, number, EXACTLY, floor(size)))
    end
    if pattern == "*a" then
        return received(number, tcp_receive(host, number, ALL, 0))
    end
    if type(pattern) ~= "string" then
        bad_argument(2, "bad argument")
    end
    if #pattern == 2 and sub(pattern, 1, 1) == "*" then
        bad_argument(2, "bad pattern argument")
    end
    bad_argument(2, "bad pattern argument: " .. pattern)
end

function methods.receiveany(socket, ...)
    local count = select("#", ...)
    if count ~= 1 then
        error("expecting 2 arguments (including the object), but got " .. count + 1, 2)
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local number = number_of(socket)
    if not number then
        return closed(number, "receive")
    end
    local size = tonumber((...))
    if not size or size < 1 then
        bad_argument(2, "bad max argument")
    end
    return received(number, tcp_receive(host, number, ANY, floor(size)))
end

function methods.receiveuntil(socket, ...)
    local count = select("#", ...) + 1
    if count ~= 2 and count ~= 3 then
        error("expecting 2 or 3 arguments (including the object), but got " .. count, 2)
    end
    local pattern, options = ...
    local inclusive = 0
    if count == 3 then
        if type(options) ~= "table" then
            bad_argument(3, "table expected, got " .. type_name(options))
        end
        local value = options.inclusive
        if type(value) ~= "boolean" and value ~= nil then
            error('bad "inclusive" option value type: ' .. type(value), 2)
        end
        inclusive = value and 1 or 0
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    if type(pattern) == "number" then
        pattern = tostring(pattern)
    elseif type(pattern) ~= "string" then
        bad_argument(2, "string expected, got " .. type_name(pattern))
    end
    if pattern == "" then
        return nil, "pattern is empty"
    end

    -- The pattern has come, which the next call is told.
    local ended = false

    return function(...)
        if select("#", ...) > 1 then
            error("expecting 0 or 1 argument, but seen " .. select("#", ...), 2)
        end
        local size = 0
        if select("#", ...) == 1 then
            size = tonumber((...)) or bad_argument(1, "number expected, got " .. type_name((...)))
        end
        local number = number_of(socket)
        if not number then
            return nil, "closed"
        end
        if ended then
            ended = false
            return nil, nil, nil
        end
        local code = tcp_receive_until(host, number, pattern, #pattern, inclusive, size)
        local why, partial, _
        if code == WAIT or code == FAILED then
            code, _, why, partial = complete(number, code)
        end
        if code == OK then
            ended = size >= 1
            return given()
        elseif code == PIECE then
            return given()
        elseif not code then
            return nil, why, partial
        end
        return failure(code)
    end
end

-- Sending ------------------------------------------------------------------------------------------------------------

local tcp_send, tcp_send_on, tcp_give_up_sending = C.tcp_send, C.tcp_send_on, C.tcp_give_up_sending

-- Puts the texts in an array, and in arrays in it, into `parts`. Answers what is wrong, if anything is.
local function flatten(values, parts, count)
    local length = 0
    for key in next, values do
        if type(key) ~= "number" or key < 1 or floor(key) ~= key then
            return nil, "non-array table found"
        end
        if key > length then
            length = key
        end
    end
    for index = 1, length do
        local value = values[index]
        local kind = type(value)
        if kind == "string" or kind == "number" then
            count = count + 1
            parts[count] = value
        elseif kind == "table" then
            local wrong
            count, wrong = flatten(value, parts, count)
            if not count then
                return nil, wrong
            end
        else
            return nil, "bad data type " .. (kind == "nil" and "nil" or kind) .. " found"
        end
    end
    return count
end

-- What is to be sent, as text; or nil and what is wrong with it.
local function text_of(data)
    local kind = type(data)
    if kind == "string" then
        return data
    elseif kind == "table" then
        local parts = {}
        local count, wrong = flatten(data, parts, 0)
        if not count then
            return nil, wrong
        end
        local text = concat(parts, "", 1, count)
        return text
    elseif kind == "number" or kind == "boolean" or kind == "nil" then
        return tostring(data)
    end
    return nil, "string, number, boolean, nil, or array table expected, got " .. kind
end
kit.sendable_text = text_of

-- Waits until what did not leave at once has left: the code, or false and why not.
local function wait_to_send(number)
    local code
    repeat
        local ok, why = wait()
        if not ok then
            tcp_give_up_sending(host, number)
            if why == "timeout" then
                log_error("lua tcp socket write timed out")
            end
            return false, why
        end
        code = tcp_send_on(host, number)
    until code ~= WAIT
    return code
end

function methods.send(socket, ...)
    if select("#", ...) ~= 1 then
        error("expecting 2 arguments (including the object), but got " .. select("#", ...) + (socket ~= nil and 1 or 0), 2)
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local number = number_of(socket)
    if not number then
        return closed(number, "send")
    end
    local text, wrong = ...
    if type(text) ~= "string" then
        text, wrong = text_of(text)
        if not text then
            bad_argument(2, wrong)
        end
    end
    local length = #text
    local code = tcp_send(host, number, text, length)
    if code == WAIT then
        local why
        code, why = wait_to_send(number)
        if not code then
            return nil, why
        end
    end
    if code == OK then
        return length
    elseif code == CLOSED then
        return closed(number, "send")
    end
    return failure(code)
end

-- Ending -------------------------------------------------------------------------------------------------------------

local tcp_close, tcp_shutdown, tcp_keep, tcp_state = C.tcp_close, C.tcp_shutdown, C.tcp_keep, C.tcp_state

function methods.close(socket, ...)
    if select("#", ...) ~= 0 then
        error("expecting 1 argument (including the object) but seen " .. select("#", ...) + 1, 2)
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local number = number_of(socket)
    if not number then
        return nil, "closed"
    end
    local code = tcp_close(host, number)
    if code == OK then
        return 1
    end
    return failure(code)
end

local directions = { receive = 0, send = 1, both = 2 }

function methods.shutdown(socket, direction)
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local how = directions[direction]
    if not how then
        error('bad shutdown argument: "' .. tostring(direction) .. '"', 2)
    end
    local number = number_of(socket)
    if not number then
        return nil, "closed"
    end
    local code = tcp_shutdown(host, number, how)
    if code == OK then
        return 1
    end
    return failure(code)
end

-- A whole number, as Lua's own functions take it.
local function integer(value)
    local number = tonumber(value)
    return number and (number < 0 and -floor(-number) or floor(number))
end

function methods.setkeepalive(socket, ...)
    local count = select("#", ...)
    if count > 2 then
        error("expecting 1 to 3 arguments (including the object), but got " .. count + 1, 2)
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local timeout, size = ...
    if timeout ~= nil then
        timeout = integer(timeout) or bad_argument(2, "number expected, got " .. type(timeout))
    end
    if size ~= nil then
        size = integer(size) or bad_argument(3, "number expected, got " .. type(size))
    end
    local number = number_of(socket)
    if not number then
        return nil, "closed"
    end
    local key = socket[KEY]
    if not key then
        return nil, "key not found"
    end
    -- What is bound to an address stays so.
    local handle = not socket[BIND_ADDRESS] and #spare < MOST_SPARE and socket[HANDLE]
    local code = tcp_keep(host, number, key, #key, timeout or -1, size or kit.socket_pool_size(), handle and 1 or 0)
    if code == OK then
        if handle then
            socket[HANDLE] = spent
            spare[#spare + 1] = handle
        end
        return 1
    elseif code == BAD_SIZE then
        bad_argument(count + 1, format('bad "pool_size" option value: %d', size))
    end
    return failure(code)
end

local REUSED, DESCRIPTOR = 0, 1

function methods.getreusedtimes(socket, ...)
    if select("#", ...) ~= 0 then
        error("expecting 1 argument (including the object), but got " .. select("#", ...) + 1, 2)
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local number = number_of(socket)
    if not number or tcp_state(host, number, REUSED) ~= OK then
        return nil, "closed"
    end
    return block.number
end

-- TLS ----------------------------------------------------------------------------------------------------------------

local tcp_handshake, tcp_session, stage = C.tcp_handshake, C.tcp_session, C.tcp_stage_identity
local CLIENT_CERTIFICATE, CLIENT_KEY, TRUSTED = 6, 7, 12
local VERIFY, KEEP_SESSION, IDENTITY = 1, 2, 4

local function existing(socket)
    return number_of(socket) or error("socket is never created nor connected", 3)
end

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
    local session = ffi.istype("struct tidegate_socket", reused) and reused.number or -1
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

-- Options ------------------------------------------------------------------------------------------------------------

local tcp_option, tcp_set_option = C.tcp_option, C.tcp_set_option

function methods.getfd(socket)
    if not socket then
        error("ngx.socket getfd: expecting the cosocket object, but seen none", 2)
    end
    if tcp_state(host, existing(socket), DESCRIPTOR) ~= OK then
        return nil, "closed"
    end
    return block.number
end

local options = {
    keepalive = true, reuseaddr = true, ["tcp-nodelay"] = true, sndbuf = true, rcvbuf = true, keepintvl = true,
    keepcnt = true,
}

function methods.getoption(socket, option)
    local number = existing(socket)
    if option == nil then
        return nil, 'missing the "option" argument'
    elseif not options[option] then
        return nil, "unsupported option " .. tostring(option)
    end
    local code = tcp_option(host, number, option, #option)
    if code == OK then
        return block.number
    end
    return failure(code)
end

function methods.setoption(socket, option, value)
    if option == nil then
        return nil, 'missing the "option" argument'
    elseif value == nil then
        return nil, 'missing the "value" argument'
    end
    local number = existing(socket)
    if not options[option] then
        return nil, "unsupported option " .. tostring(option)
    end
    block.number = type(value) == "boolean" and (value and 1 or 0) or tonumber(value)
        or error("bad value of option " .. option, 2)
    local code = tcp_set_option(host, number, option, #option)
    if code == OK then
        return true
    end
    return failure(code)
end

-- ngx.socket ---------------------------------------------------------------------------------------------------------

-- Its own index, as in OpenResty, so that libraries which look there find the methods.
methods.__index = methods
local metatable = methods
kit.tcp_methods = methods

local socket_setting = C.socket_setting

function kit.socket_pool_size()
    socket_setting(host, 0)
    return block.number
end

ngx.socket = ngx.socket or {}

function ngx.socket.tcp(...)
    if select("#", ...) ~= 0 then
        error("expecting zero arguments, but got " .. select("#", ...), 2)
    end
    check(YIELDABLE)
    -- As large as what it keeps.
    local socket = setmetatable(new_table(READ_TIMEOUT, 0), metatable)
    return socket
end

ngx.socket.stream = ngx.socket.tcp

function ngx.socket.connect(...)
    check(YIELDABLE)
    local socket = setmetatable({}, metatable)
    local ok, why = socket:connect(...)
    if not ok then
        return nil, why
    end
    return socket
end
