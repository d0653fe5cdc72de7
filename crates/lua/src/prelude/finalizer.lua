-- Finalizers of scripts: what a call of theirs leaves in the block is not found by whom they interrupt.
--
-- The collector runs them wherever something is allocated, which compiled code also does between a call of the host and the
-- reading of what that gave. So each is run within a function that puts the block back as it was. What else the host keeps for
-- a call, it keeps apart for finalizers. Those that are functions of C cannot call the host.

local kit = ...

local block = kit.block
local ffi = require "ffi"
local copy, new = ffi.copy, ffi.new
local error, getmetatable, pcall, rawset, setmetatable, type = error, getmetatable, pcall, rawset, setmetatable, type

-- What calls leave there lies together.
local FIRST = ffi.offsetof("struct tidegate_block", "number")
local SIZE = ffi.offsetof("struct tidegate_block", "phase") - FIRST
local results = ffi.cast("char *", block) + FIRST
-- One for each finalizer that runs: one that has a collection made runs others within it.
local saved, depth = {}, 0

local function guard(finalizer)
    return function(object)
        depth = depth + 1
        local own = saved[depth]
        if not own then
            own = new("char[?]", SIZE)
            saved[depth] = own
        end
        copy(own, results, SIZE)
        local ok, raised = pcall(finalizer, object)
        copy(results, own, SIZE)
        depth = depth - 1
        if not ok then
            error(raised, 0)
        end
    end
end

-- The guarded function of each, as long as something is to be finalized by it.
local guards = setmetatable({}, { __mode = "kv" })

local function guarded(finalizer)
    if type(finalizer) ~= "function" then
        return finalizer
    end
    local known = guards[finalizer]
    if not known then
        known = guard(finalizer)
        guards[finalizer] = known
        guards[known] = known
    end
    return known
end

local raw_gc, raw_metatype, raw_newproxy = ffi.gc, ffi.metatype, newproxy

function ffi.gc(object, finalizer)
    if type(object) ~= "cdata" then
        error("bad argument #1 to 'gc' (cdata expected, got " .. type(object) .. ")", 2)
    end
    local same = raw_gc(object, guarded(finalizer))
    return same
end

function ffi.metatype(ctype, metatable)
    if type(metatable) == "table" and metatable.__gc then
        metatable.__gc = guarded(metatable.__gc)
    end
    local same = raw_metatype(ctype, metatable)
    return same
end

-- A proxy's metatable is filled in later.
local watched = {
    __newindex = function(metatable, key, value)
        rawset(metatable, key, key == "__gc" and guarded(value) or value)
    end,
}

function newproxy(with)
    local proxy = raw_newproxy(with)
    if with == true then
        setmetatable(getmetatable(proxy), watched)
    end
    return proxy
end
