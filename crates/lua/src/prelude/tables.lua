-- The modules that OpenResty's LuaJIT adds to the library of tables, and what libraries ask of resty.core.

local preload = package.preload
local error, next, pairs, type = error, next, pairs, type

local function check(table, name)
    if type(table) ~= "table" then
        error("bad argument #1 to '" .. name .. "' (table expected, got " .. type(table) .. ")", 3)
    end
end

local function isempty(table)
    check(table, "isempty")
    return next(table) == nil
end

local function nkeys(table)
    check(table, "nkeys")
    local count = 0
    for _ in pairs(table) do
        count = count + 1
    end
    return count
end

-- Whether all keys are positive integers.
local function isarray(table)
    check(table, "isarray")
    for key in next, table do
        if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
            return false
        end
    end
    return true
end

-- A copy that shares the values.
local function clone(table)
    check(table, "clone")
    local copy = {}
    for key, value in next, table do
        copy[key] = value
    end
    return copy
end

for name, loaded in pairs { isempty = isempty, nkeys = nkeys, isarray = isarray, clone = clone } do
    preload["table." .. name] = function()
        return loaded
    end
end

local VERSION = "0.1.31"

preload["resty.core.base"] = function()
    local ffi = require "ffi"
    local base = {
        version = VERSION,
        new_tab = require "table.new",
        clear_tab = require "table.clear",
        FFI_OK = 0,
        FFI_ERROR = -1,
        FFI_AGAIN = -2,
        FFI_BUSY = -3,
        FFI_DONE = -4,
        FFI_DECLINED = -5,
        FFI_NO_REQ_CTX = -100,
        FFI_BAD_CONTEXT = -101,
    }
    local size, buffer = 4096, nil
    local length, message = ffi.new "size_t[1]", ffi.new "unsigned char *[1]"

    function base.get_string_buf_size()
        return size
    end

    function base.set_string_buf_size(wanted)
        size, buffer = wanted, nil
    end

    -- Memory that is used again, unless there is more to store or it must be the caller's own.
    function base.get_string_buf(wanted, own)
        if own or wanted > size then
            return ffi.new("unsigned char[?]", wanted)
        end
        buffer = buffer or ffi.new("unsigned char[?]", size)
        return buffer
    end

    function base.get_size_ptr()
        return length
    end

    function base.get_errmsg_ptr()
        return message
    end

    function base.allows_subsystem(...)
        for index = 1, select("#", ...) do
            if select(index, ...) == "http" then
                return
            end
        end
        error("unsupported subsystem: http", 2)
    end

    return base
end

preload["resty.core"] = function()
    return { version = VERSION }
end

local parts = {
    "base64", "ctx", "exit", "hash", "misc", "ndk", "param", "phase", "regex", "request", "response", "shdict", "socket",
    "time", "uri", "utils", "var", "worker",
}
for _, name in pairs(parts) do
    preload["resty.core." .. name] = function()
        return { version = VERSION }
    end
end
