-- ngx.semaphore, as lua-resty-core has it.

local kit = ...
local C = kit.C

local block, host, wait, disabled_text = kit.block, kit.host, kit.wait, kit.disabled_text
local semaphore_new, semaphore_post, semaphore_count = C.semaphore_new, C.semaphore_post, C.semaphore_count
local semaphore_wait, semaphore_release = C.semaphore_wait, C.semaphore_release
local YIELDABLE, MISSING = kit.YIELDABLE, kit.MISSING
local OK, WAIT = 0, 1
local band = require("bit").band
local ffi = require "ffi"
local error, setmetatable, tonumber, type = error, setmetatable, tonumber, type

ffi.cdef "struct tidegate_semaphore { const int32_t number; };"
local new_handle = ffi.metatype("struct tidegate_semaphore", {
    __gc = function(handle)
        semaphore_release(host, handle.number)
    end,
})

local istype = ffi.istype
local semaphore = { version = "0.1.31" }
local metatable = { __index = semaphore }

function semaphore.new(count)
    count = tonumber(count) or 0
    if count < 0 then
        error("no negative number", 2)
    end
    local number = semaphore_new(host, count)
    if number == MISSING then
        return nil, "no memory"
    end
    return setmetatable({ sem = new_handle(number) }, metatable)
end

local function number_of(self)
    if type(self) ~= "table" or not istype(new_handle, self.sem) then
        error("not a semaphore instance", 3)
    end
    return self.sem.number
end

function semaphore.wait(self, seconds)
    local number = number_of(self)
    local phase = block.phase
    if band(phase, YIELDABLE) == 0 then
        return nil, disabled_text(phase)
    end
    local span = tonumber(seconds)
    if not span then
        error("bad argument #2 to 'wait' (number expected, got " .. type(seconds) .. ")", 2)
    end
    if span < 0 then
        error("no negative number", 2)
    end
    local code = semaphore_wait(host, number, span)
    if code == OK then
        return true
    end
    if code ~= WAIT then
        return nil, "timeout"
    end
    local ok, why = wait()
    if ok then
        return true
    end
    return nil, why
end

function semaphore.post(self, count)
    local number = number_of(self)
    count = count and tonumber(count) or 1
    if count < 1 then
        error("positive number required", 2)
    end
    semaphore_post(host, number, count)
    return true
end

function semaphore.count(self)
    local count = semaphore_count(host, number_of(self))
    return count
end

package.preload["ngx.semaphore"] = function()
    return semaphore
end
