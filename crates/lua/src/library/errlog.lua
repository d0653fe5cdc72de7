-- ngx.errlog: lines for the log, and which of them are let through.

local kit = ...
local ngx = kit.ngx

local block = kit.block
local error, getinfo, tonumber, type = error, debug.getinfo, tonumber, type

local module = { version = "0.1.31" }

-- What was configured, before anybody set another level.
local configured = block.log_level

function module.get_sys_filter_level()
    return configured
end

-- Lines less urgent than `level` are dropped; the configuration's level remains a bound.
function module.set_filter_level(level)
    if type(level) ~= "number" then
        error("bad argument #1 to 'set_filter_level' (number expected, got " .. type(level) .. ")", 2)
    end
    if level < 0 or level > ngx.DEBUG then
        return nil, "bad log level: " .. level
    end
    block.log_level = level < configured and level or configured
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

-- Lines are not kept for scripts.
function module.get_logs()
    return nil, 'directive "lua_capture_error_log" is not set'
end

return module
