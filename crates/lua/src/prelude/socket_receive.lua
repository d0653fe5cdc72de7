-- Receiving from a stream socket.

local kit = ...
local C, host, wait, given, methods = kit.C, kit.host, kit.wait, kit.given, kit.tcp_methods
local bad_argument, closed, failure, log_error = kit.bad_argument, kit.socket_closed, kit.socket_failure, kit.log_socket_error
local number_of, reason, type_name = kit.socket_number, kit.reason, kit.type_name
local floor, sub = math.floor, string.sub
local error, select, tonumber, tostring, type = error, select, tonumber, tostring, type

local OK, WAIT, FAILED, CLOSED, PIECE = 0, 1, 2, 3, 5

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
