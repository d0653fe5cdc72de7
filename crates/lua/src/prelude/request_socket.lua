-- ngx.req.socket: the client's connection, to read the request body from, or to do with as one likes.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, wait = kit.block, kit.host, kit.wait
local band = require("bit").band
local error, select, setmetatable = error, select, setmetatable

local ANSWERABLE = kit.ANSWERABLE
local flow_socket, request_socket, request_is_sub = C.flow_socket, C.request_socket, C.request_is_sub
local tcp_settimeouts = C.tcp_settimeouts

local methods = kit.tcp_methods
local READING = { "receive", "receiveany", "receiveuntil", "settimeout", "settimeouts", "getfd" }

local function only(names)
    local some = {}
    for index = 1, #names do
        some[names[index]] = methods[names[index]]
    end
    return { __index = some }
end

local body_metatable = only(READING)
local raw_metatable = only({ "send", "receive", "receiveany", "receiveuntil", "settimeout", "settimeouts", "getfd" })

function ngx.req.socket(...)
    local count, raw = select("#", ...), ...
    if count > 1 then
        error("expecting 0 or 1 argument, but got " .. count, 2)
    end
    if request_is_sub(host) == 1 then
        error("attempt to read the request body in a subrequest", 2)
    end
    local phase = block.phase
    if band(phase, ANSWERABLE) == 0 then
        error(kit.disabled_text(phase), 2)
    end
    flow_socket(host, raw and 1 or 0)
    local ok, why = wait()
    if not ok then
        return nil, why
    end
    local number = request_socket(host)
    if number < 0 then
        return nil, "no memory"
    end
    tcp_settimeouts(host, number, 0, 0, 0)
    return setmetatable({ kit.new_handle(number) }, raw and raw_metatable or body_metatable)
end
