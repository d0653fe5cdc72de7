-- ngx.timer: functions that are called later, without a request.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, disabled = kit.block, kit.host, kit.disabled
local timer_arm, timer_pending, timer_running = C.timer_arm, C.timer_pending, C.timer_running
local MISSING, EXITING = kit.MISSING, -6
local band = require("bit").band
local error, select, tonumber, type, unpack = error, select, tonumber, type, unpack

local ARMABLE = kit.phases("init_worker set server_rewrite rewrite access precontent content header_filter body_filter "
    .. "log timer balancer ssl_cert ssl_session_fetch ssl_session_store ssl_client_hello", "exit_worker")

-- The functions by the number that the host gives each timer, with their arguments.
local functions = {}

local function arm(name, repeats, count, delay, body, ...)
    local phase = block.phase
    if band(phase, ARMABLE) == 0 then
        disabled(phase)
    end
    if count < 2 then
        error("expecting at least 2 arguments but got " .. count, 3)
    end
    local seconds = tonumber(delay)
    if not seconds then
        error("bad argument #1 to '" .. name .. "' (number expected, got " .. type(delay) .. ")", 3)
    end
    if not (seconds >= 0) then
        error("bad argument #1 to '" .. name .. "' (delay must not be negative)", 3)
    end
    if repeats == 1 and seconds < 0.001 then
        error("delay cannot be zero", 3)
    end
    if type(body) ~= "function" then
        error("bad argument #2 to '" .. name .. "' (Lua function expected)", 3)
    end
    local number = timer_arm(host, seconds, repeats)
    if number == EXITING then
        return nil, "process exiting"
    end
    if number == MISSING then
        return nil, "too many pending timers"
    end
    functions[number] = { count = count - 2, body = body, ... }
    return 1
end

-- Takes what `arm` answers, which is so not called last and can tell the script's line.
local function answer(ok, why)
    if ok then
        return ok
    end
    return nil, why
end

ngx.timer = {
    at = function(...)
        return answer(arm("at", 0, select("#", ...), ...))
    end,
    every = function(...)
        return answer(arm("every", 1, select("#", ...), ...))
    end,
    pending_count = function()
        local count = timer_pending(host)
        return count
    end,
    running_count = function()
        local count = timer_running(host)
        return count
    end,
}

-- What a timer calls, and with what; forgotten if this was the last time.
function kit.timer(number, premature, last)
    local timer = functions[number]
    if last then
        functions[number] = nil
    end
    return timer.body, premature, unpack(timer, 1, timer.count)
end
