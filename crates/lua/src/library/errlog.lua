-- ngx.errlog: lines for the log, and recent ones out of it.

local kit = ...
local ngx = kit.ngx

local block, host, given = kit.block, kit.host, kit.given
local log_take, log_filter = kit.C.log_take, kit.C.log_filter
local error, tonumber, type = error, tonumber, type

local NOT_KEPT = -1
local NOT_KEPT_TEXT = 'directive "lua_capture_error_log" is not set'

local module = { version = "0.1.31" }

-- What the configuration asks the log to have.
function module.get_sys_filter_level()
    return block.log_level
end

-- Lines less urgent than `level` are not kept for `get_logs`; the log has them nevertheless.
function module.set_filter_level(level)
    if not level then
        return nil, 'missing "level" argument'
    end
    local number = tonumber(level)
    if not number then
        error("bad argument #1 to 'set_filter_level' (number expected, got " .. type(level) .. ")", 2)
    end
    local code = log_filter(host, number)
    if code == NOT_KEPT then
        return nil, NOT_KEPT_TEXT
    end
    if code ~= 0 then
        return nil, "bad log level: " .. number
    end
    return true
end

function module.raw_log(level, message)
    if type(level) ~= "number" then
        error("bad argument #1 to 'raw_log' (must be a number)", 2)
    end
    if type(message) ~= "string" then
        error("bad argument #2 to 'raw_log' (must be a string)", 2)
    end
    if level < 0 or level > ngx.DEBUG then
        error("bad log level", 2)
    end
    kit.log(level, message)
end

-- Takes out up to `max` lines, oldest first: level, time and text of each, one after the other.
function module.get_logs(max, logs)
    logs = logs or {}
    local count = 0
    for _ = 1, max or 10 do
        local code = log_take(host)
        if code == NOT_KEPT then
            return nil, NOT_KEPT_TEXT
        end
        if code ~= 0 then
            break
        end
        local level, time = block.flags, block.number
        logs[count + 3] = given()
        logs[count + 1], logs[count + 2] = tonumber(level), time
        count = count + 3
    end
    logs[count + 1] = nil
    return logs
end

return module
