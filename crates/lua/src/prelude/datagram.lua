-- ngx.socket.udp: datagram sockets.

local kit = ...
local ngx, C = kit.ngx, kit.C

local host, wait, given, check = kit.host, kit.wait, kit.given, kit.check
local bad_argument, failure, log_error, new_handle = kit.bad_argument, kit.socket_failure, kit.log_socket_error, kit.new_handle
local sendable_text, reason = kit.sendable_text, kit.reason
local error, floor, format, select, setmetatable, tonumber, type =
    error, math.floor, string.format, select, setmetatable, tonumber, type
local lower, sub = string.lower, string.sub
local udp_new, udp_connect, udp_bind, udp_settimeout = C.udp_new, C.udp_connect, C.udp_bind, C.udp_settimeout
local udp_send, udp_receive, udp_peer, udp_close = C.udp_send, C.udp_receive, C.udp_peer, C.udp_close

local YIELDABLE = kit.YIELDABLE
local OK, WAIT, FAILED, CLOSED = 0, 1, 2, 3
local HANDLE, TIMEOUT = 1, 2
-- What a datagram may be long by default.
local LARGEST = 65536

local methods = {}

local function number_of(socket)
    local handle = socket[HANDLE]
    return handle and handle.number
end

local function make_handle(socket)
    local number = udp_new(host)
    if number < 0 then
        error("no memory", 3)
    end
    socket[HANDLE] = new_handle(number)
    udp_settimeout(host, number, socket[TIMEOUT] or 0)
    return number
end

local function closed(what)
    log_error("attempt to " .. what .. " data on a closed socket")
    return nil, "closed"
end

function methods.setpeername(socket, ...)
    local count = select("#", ...) + 1
    if count ~= 2 and count ~= 3 then
        error("ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen " .. count, 2)
    end
    check(YIELDABLE)
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type(socket))
    end
    local address, port = ...
    if type(address) ~= "string" then
        bad_argument(2, "string expected, got " .. type(address))
    end
    if count == 3 then
        local numeric = tonumber(port)
        if not numeric then
            bad_argument(3, "number expected, got " .. type(port))
        end
        if numeric < 0 or numeric > 65535 then
            return nil, format("bad port number: %d", numeric)
        end
        port = numeric
    elseif lower(sub(address, 1, 5)) ~= "unix:" then
        return nil, "missing the port number"
    end
    local number = number_of(socket) or make_handle(socket)
    local code = udp_connect(host, number, address, #address, port or 0)
    if code == OK then
        return 1
    elseif code == WAIT then
        local ok, why = wait()
        if ok then
            return 1
        end
        return nil, why
    end
    return failure(code)
end

function methods.bind(socket, ...)
    if select("#", ...) ~= 1 then
        error("expecting 2 arguments, but got " .. select("#", ...) + 1, 2)
    end
    check(YIELDABLE)
    local address = ...
    if type(address) ~= "string" then
        bad_argument(2, "string expected, got " .. type(address))
    end
    local number = number_of(socket) or make_handle(socket)
    if udp_bind(host, number, address, #address) ~= OK then
        return nil, "bad address"
    end
    return 1
end

function methods.settimeout(socket, ...)
    if select("#", ...) ~= 1 then
        error("ngx.socket settimout: expecting 2 arguments (including the object) but seen " .. select("#", ...) + 1, 2)
    end
    local timeout = floor(tonumber((...)) or 0)
    socket[TIMEOUT] = timeout
    local number = number_of(socket)
    if number then
        udp_settimeout(host, number, timeout)
    end
end

function methods.send(socket, ...)
    if select("#", ...) ~= 1 then
        error("expecting 2 arguments (including the object), but got " .. select("#", ...) + 1, 2)
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type(socket))
    end
    local number = number_of(socket)
    if not number then
        return closed "send"
    end
    local text, wrong = sendable_text((...))
    if not text then
        bad_argument(2, wrong)
    end
    local code = udp_send(host, number, text, #text)
    if code == OK then
        return 1
    elseif code == CLOSED then
        return closed "send"
    end
    return failure(code)
end

function methods.receive(socket, ...)
    local count = select("#", ...)
    if count > 1 then
        error("expecting 1 or 2 arguments (including the object), but got " .. count + 1, 2)
    end
    check(YIELDABLE)
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type(socket))
    end
    local number = number_of(socket)
    if not number then
        return closed "receive"
    end
    local size = LARGEST
    if count == 1 then
        size = tonumber((...)) or bad_argument(2, "number expected, got " .. type((...)))
        if size < 0 then
            bad_argument(2, "bad max argument")
        end
    end
    local code = udp_receive(host, number, size)
    while code == WAIT do
        local ok, why = wait()
        if not ok then
            if why == "timeout" then
                udp_peer(host, number)
                log_error("lua udp socket read timed out, upstream: " .. given())
            end
            return nil, why
        end
        code = udp_receive(host, number, size)
    end
    if code == OK then
        return given()
    elseif code == CLOSED then
        return closed "receive"
    elseif code == FAILED then
        local why = reason()
        if why == "connection refused" then
            udp_peer(host, number)
            log_error("recv() failed (111: Connection refused), upstream: " .. given())
        end
        return nil, why
    end
    return failure(code)
end

function methods.close(socket, ...)
    if select("#", ...) ~= 0 then
        error("expecting 1 argument (including the object) but seen " .. select("#", ...) + 1, 2)
    end
    local number = number_of(socket)
    if not number then
        return nil, "closed"
    end
    local code = udp_close(host, number)
    if code == OK then
        return 1
    end
    return failure(code)
end

-- Its own index, as in OpenResty, so that libraries which look there find the methods.
methods.__index = methods
local metatable = methods

function ngx.socket.udp(...)
    if select("#", ...) ~= 0 then
        error("expecting zero arguments, but got " .. select("#", ...), 2)
    end
    check(YIELDABLE)
    local socket = setmetatable({}, metatable)
    return socket
end
