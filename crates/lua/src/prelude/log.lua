-- ngx.log and print.

local kit = ...
local ngx = kit.ngx

local block, host = kit.block, kit.host
local log_line = kit.C.log
local getinfo = debug.getinfo
local getmetatable = getmetatable
local error, select, tonumber, tostring, type = error, select, tonumber, tostring, type
local concat, match, format = table.concat, string.match, string.format

-- Logs a line of the host's own.
function kit.log(level, message)
    if level <= block.log_level then
        log_line(host, level, message, #message)
    end
end

local function text(value, index)
    local kind = type(value)
    if kind == "string" then
        return value
    end
    if kind == "number" or kind == "boolean" or kind == "nil" then
        return tostring(value)
    end
    if value == ngx.null then
        return "null"
    end
    if kind == "table" then
        local metatable = getmetatable(value)
        if type(metatable) == "table" and metatable.__tostring then
            return tostring(value)
        end
        error(format("bad argument #%d to 'log' (expected table to have __tostring metamethod)", index), 4)
    end
    error(format("bad argument #%d to 'log' (string, number, boolean, or nil expected, got %s)", index, kind), 4)
end

-- The file, without its folders, and line of a function, and how it was called. There is none when the function
-- ended with the call that logs.
local function place(info)
    if not info then
        return "?:0"
    end
    local line = info.currentline > 0 and info.currentline or info.linedefined
    local called = info.what ~= "C" and info.namewhat ~= "" and ": " .. info.name .. "()" or ""
    return match(info.short_src, "[^/\\]*$") .. ":" .. line .. called
end

-- Logs the arguments as one line, with the place of the function that called the caller.
local function write(level, ...)
    if level > block.log_level then
        return
    end
    local parts = { "[lua] ", place(getinfo(3, "Snl")), ": " }
    for index = 1, select("#", ...) do
        parts[index + 3] = text((select(index, ...)), index)
    end
    local line = concat(parts)
    log_line(host, level, line, #line)
end

function ngx.log(level, ...)
    local number = tonumber(level)
    if not number then
        error("bad argument #1 to 'log' (number expected, got " .. type(level) .. ")", 2)
    end
    if number < 0 or number > 8 then
        error("bad argument #1 to 'log' (bad log level: " .. number .. ")", 2)
    end
    write(number, ...)
end

function print(...)
    write(ngx.NOTICE, ...)
end
