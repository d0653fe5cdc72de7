-- What a stream socket tells of itself, and its options.

local kit = ...
local C, block, host, methods = kit.C, kit.block, kit.host, kit.tcp_methods
local bad_argument, existing, failure = kit.bad_argument, kit.existing_socket, kit.socket_failure
local number_of, type_name = kit.socket_number, kit.type_name
local error, select, tonumber, tostring, type = error, select, tonumber, tostring, type

local OK = 0

local tcp_option, tcp_set_option, tcp_state = C.tcp_option, C.tcp_set_option, C.tcp_state
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
