-- ngx.balancer: where an attempt to reach the upstream goes, and what becomes of it.

local kit = ...
local C, host = kit.C, kit.host

local set_peer, add_tries, failure = C.balancer_set_peer, C.balancer_add_tries, C.balancer_failure
local set_spans, keep_alive, recreate = C.balancer_set_timeouts, C.balancer_keep_alive, C.balancer_recreate
local set_name, set_tls, set_local = C.balancer_set_name, C.balancer_set_tls, C.balancer_set_local
local MISSING, NO_REQUEST = kit.MISSING, kit.NO_REQUEST
local OK, NOT_AN_ADDRESS, REDUCED = 0, 1, 3
local band = require("bit").band
local error, floor, huge, tonumber, type = error, math.floor, math.huge, tonumber, type

-- Where no upstream has been chosen for the request yet.
local BEFORE = kit.phases("set server_rewrite rewrite access precontent content timer init_worker")
local REASONS = {
    [1] = "no host allowed",
    [2] = "invalid port",
    [4] = "no current peer set",
    [5] = "TLS is not configured for the upstream",
}

local module = { version = "0.1.31" }

-- What the host answered, as functions return it.
local function answer(code)
    if code == OK then
        return true
    end
    if code == NO_REQUEST then
        error("no request found", 3)
    end
    if code == MISSING then
        return nil, band(kit.block.phase, BEFORE) ~= 0 and "no upstream found" or "API disabled in the current context"
    end
    return nil, REASONS[code]
end

function module.set_current_peer(address, port, name)
    if type(address) ~= "string" then
        error("bad argument #1 to 'set_current_peer' (string expected, got " .. type(address) .. ")", 2)
    end
    if name ~= nil and type(name) ~= "string" then
        error("bad argument #3 to 'set_current_peer' (string expected, got " .. type(name) .. ")", 2)
    end
    local code = set_peer(host, address, #address, tonumber(port) or 0)
    if code == OK and name then
        code = set_name(host, name, #name)
    end
    return answer(code)
end

function module.set_more_tries(count)
    count = tonumber(count)
    if not count or count < 0 then
        error("bad argument #1 to 'set_more_tries' (expected >= 0)", 2)
    end
    local code = add_tries(host, count)
    if code == REDUCED then
        return true, "reduced tries due to limit"
    end
    return answer(code)
end

-- Of the attempt before: nothing if this is the first.
function module.get_last_failure()
    local status = failure(host)
    if status > 0 then
        return "failed", status
    end
    if status == 0 then
        return nil
    end
    local _, why = answer(status)
    return nil, nil, why
end

local function seconds(value, what)
    if value == nil then
        return 0
    end
    value = tonumber(value)
    if not value or not (value > 0 and value < huge) then
        error("bad " .. what .. " timeout", 3)
    end
    return value
end

function module.set_timeouts(connect, send, read)
    connect, send, read = seconds(connect, "connect"), seconds(send, "send"), seconds(read, "read")
    return answer(set_spans(host, connect, send, read))
end

local function natural(value, default, position)
    if value == nil then
        return default
    end
    if type(value) ~= "number" then
        error("bad argument #" .. position .. " to 'enable_keepalive' (number expected, got " .. type(value) .. ")", 3)
    end
    if not (value >= 0) then
        error("bad argument #" .. position .. " to 'enable_keepalive' (expected >= 0)", 3)
    end
    return value
end

function module.enable_keepalive(idle, requests)
    idle, requests = natural(idle, 60, 1), natural(requests, 100, 2)
    return answer(keep_alive(host, idle, floor(requests)))
end

-- The request is sent as it is now, and not as it was before this phase.
function module.recreate_request()
    return answer(recreate(host))
end

function module.set_upstream_tls(on)
    return answer(set_tls(host, (on == false or on == 0) and 0 or 1))
end

-- The attempt comes from there: an address, with a port or without.
function module.bind_to_local_addr(address)
    if type(address) ~= "string" then
        error("bad argument #1 to 'bind_to_local_addr' (string expected, got " .. type(address) .. ")", 2)
    end
    local code = set_local(host, address, #address)
    if code == NOT_AN_ADDRESS then
        return nil, "invalid addr " .. address
    end
    return answer(code)
end

return module
