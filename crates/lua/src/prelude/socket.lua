-- ngx.socket.tcp: stream sockets.
--
-- The host tries what is asked for and answers a code. Where it would block, it has prepared a wait: the loops here
-- wait and then go on, so a call that needs no waiting does not yield. A socket is a table, which has its number in
-- an object that releases it when nobody has it any more. Here is how it begins and ends; `socket_receive`, `socket_send`,
-- `socket_tls` and `socket_option` have the rest.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, wait, given, check = kit.block, kit.host, kit.wait, kit.given, kit.check
local ffi = require "ffi"
local new_table = require "table.new"
local getinfo = debug.getinfo
local floor = math.floor
local find, format, lower, sub = string.find, string.format, string.lower, string.sub
local error, select, setmetatable, tonumber, tostring, type = error, select, setmetatable, tonumber, tostring, type

local YIELDABLE = kit.YIELDABLE
kit.SOCKET_PHASES = YIELDABLE
local OK, WAIT, FAILED, CLOSED, BAD_REQUEST, BAD_SIZE = 0, 1, 2, 3, 4, 6

-- Where a socket keeps what belongs to it; numbers as OpenResty's own library has them.
local HANDLE, CONNECT_TIMEOUT, KEY, SEND_TIMEOUT, READ_TIMEOUT = 1, 2, 3, 4, 5
local BIND_ADDRESS = 8

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
kit.type_name = type_name

-- The number of a socket's handle; nil if it never was connected. What a script put there instead is none.
local function number_of(socket)
    local handle = socket[HANDLE]
    return istype(new_handle, handle) and handle.number or nil
end
kit.socket_number = number_of

local socket_logs_errors = C.socket_logs_errors

local function log_error(message, level)
    if socket_logs_errors(host) == 1 then
        kit.log(level or ngx.ERR, message)
    end
end
kit.log_socket_error = log_error

-- What became of a call on a socket that nobody has opened.
local function closed(number, what)
    log_error(format("attempt to %s data on a closed socket: u:%016X, c:%016X, ft:0 eof:0", what, number or 0, 0))
    return nil, "closed"
end
kit.socket_closed = closed

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

    local port = ...
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
    if kit.ngx.DEBUG <= kit.block.log_level then
        kit.log(kit.ngx.DEBUG, "lua tcp socket bind ip: " .. address)
    end
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

-- Ending -------------------------------------------------------------------------------------------------------------

local tcp_close, tcp_shutdown, tcp_keep = C.tcp_close, C.tcp_shutdown, C.tcp_keep

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
