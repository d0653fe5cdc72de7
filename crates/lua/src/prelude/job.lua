-- ngx.run_worker_thread: both sides of it.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, given, wait, disabled = kit.block, kit.host, kit.given, kit.wait, kit.disabled
local job_begin, job_take = C.job_begin, C.job_take
local band = require("bit").band
local buffer = require "string.buffer"
local format, upper = string.format, string.upper
local error, next, pcall, require, select, tostring, type, unpack = error, next, pcall, require, select, tostring, type, unpack

local YIELDABLE, MISSING = kit.YIELDABLE, kit.MISSING
local MAX_DEPTH = 100

-- What does not cross, if anything does not; `where` is said of it.
local function fault(value, where, depth)
    local kind = type(value)
    if kind == "nil" or kind == "boolean" or kind == "number" or kind == "string" or value == ngx.null then
        return nil
    end
    if kind ~= "table" then
        return format("unsupported Lua type: LUA_T%s in the %s", upper(kind), where)
    end
    if depth >= MAX_DEPTH then
        return format("suspicious circular references, table depth exceed max depth: %d in the %s", MAX_DEPTH, where)
    end
    for key, item in next, value do
        local wrong = fault(key, where, depth + 1) or fault(item, where, depth + 1)
        if wrong then
            return wrong
        end
    end
end

-- The values as bytes; or nil and what does not cross.
local function pack(where, ...)
    local values = { count = select("#", ...), ... }
    for index = 1, values.count do
        local wrong = fault(values[index], where, 0)
        if wrong then
            return nil, wrong
        end
    end
    return buffer.encode(values)
end

local function unpacked(bytes)
    local values = buffer.decode(bytes)
    return unpack(values, 1, values.count)
end

function ngx.run_worker_thread(pool, module, name, ...)
    local phase = block.phase
    if band(phase, YIELDABLE) == 0 then
        disabled(phase)
    end
    if name == nil then
        return false, "expecting at least 3 arguments"
    elseif type(pool) ~= "string" then
        return false, "threadpool should be a string"
    elseif type(module) ~= "string" then
        return false, "module name should be a string"
    elseif type(name) ~= "string" then
        return false, "function name should be a string"
    end
    local bytes, wrong = pack("argument", module, name, ...)
    if not bytes then
        return false, wrong
    end
    local number = job_begin(host, pool, #pool, bytes, #bytes)
    if number == MISSING then
        return false, "thread pool " .. pool .. " not found"
    elseif number < 0 then
        return false, "ngx_thread_task_post failed"
    end
    local ok, why = wait()
    if not ok then
        return false, why
    end
    if job_take(host, number) ~= 0 then
        return false, "the result is gone"
    end
    return true, unpacked(given())
end


-- Does what arrived as bytes; answers whether that went well, and bytes or why not.
local function answer(ok, ...)
    if not ok then
        return false, tostring((...))
    end
    local bytes, wrong = pack("return value", ...)
    if not bytes then
        return false, wrong
    end
    return true, bytes
end

local function call(module, name, ...)
    if type(module) == "table" and module[name] == nil then
        error("attempt to call a nil value", 0)
    end
    return module[name](...)
end

local function perform(module, ...)
    -- Apart, because its message would else begin with a place in here.
    local ok, loaded = pcall(require, module)
    if not ok then
        return false, tostring(loaded)
    end
    return answer(pcall(call, loaded, ...))
end

function kit.perform(bytes)
    return perform(unpacked(bytes))
end
