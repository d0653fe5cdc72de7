-- Coroutines that the host can suspend from within.
--
-- A function that must wait tells the host for what and yields the token. Directly on one of the host's threads the
-- host gets it. Inside a user's coroutine `coroutine.resume` gets it instead, yields it on with all that came with it,
-- and when it is resumed, takes the coroutine up again with what came. So the user never sees it.

local kit = ...

local token = kit.token
local create, raw_resume, raw_yield = coroutine.create, coroutine.resume, coroutine.yield
local raw_status, running = coroutine.status, coroutine.running
local error, rawequal, setmetatable, type = error, rawequal, setmetatable, type

-- Coroutines that only the host may resume: light threads, and those with something inside that waits for the host.
local waiting = setmetatable({}, { __mode = "k" })
kit.waiting = waiting
-- Coroutines that have resumed one of the latter.
local inside = setmetatable({}, { __mode = "k" })

-- Each level of resumption takes up the C stack, and LuaJIT does not check it.
local MAX_DEPTH = 190
local depth = 0

local finish

-- Takes up `co` with what the host answered.
local function continue(co, resumer, ...)
    waiting[co] = nil
    inside[resumer] = nil
    depth = depth + 1
    return finish(co, raw_resume(co, ...))
end

-- Returns what a resumption came to, unless that was the token.
function finish(co, ok, ...)
    depth = depth - 1
    if ok and (...) == token then
        local resumer = running()
        waiting[co] = true
        inside[resumer] = true
        return continue(co, resumer, raw_yield(...))
    end
    return ok, ...
end

local function status(co)
    local raw = raw_status(co)
    local thread = kit.thread_status(co)
    if thread and thread ~= "running" then
        return thread
    end
    if raw == "suspended" and (thread or waiting[co]) then
        return inside[co] and "normal" or "running"
    end
    return raw
end

local function resume(co, ...)
    if type(co) ~= "thread" then
        error("bad argument #1 to 'resume' (coroutine expected)", 2)
    end
    if waiting[co] or raw_status(co) ~= "suspended" then
        return false, "cannot resume " .. status(co) .. " coroutine"
    end
    if depth >= MAX_DEPTH then
        return false, "C stack overflow"
    end
    depth = depth + 1
    return finish(co, raw_resume(co, ...))
end

-- By thread: the coroutine in which what ended it was raised, and what that was.
local fallen = setmetatable({}, { __mode = "k" })
local band = require("bit").band

-- Where nothing can wait OpenResty leaves LuaJIT's own function, which puts a place before what it raises again.
local function unwrap(co, ok, ...)
    if ok then
        return ...
    end
    local raised = ...
    fallen[running() or false] = { co, raised }
    error(raised, band(kit.block.phase, kit.PLAIN_COROUTINES) == 0 and 0 or 2)
end

-- The traceback of a thread that ended with `raised`, after those of the coroutines that it came from.
function kit.trace(thread, raised, traceback)
    local trace = traceback(thread, "")
    local below = fallen[thread]
    if not (below and rawequal(below[2], raised)) then
        return trace
    end
    local chain = { thread }
    while below and rawequal(below[2], raised) and #chain < MAX_DEPTH do
        chain[#chain + 1] = below[1]
        below = fallen[below[1] ]
    end
    local parts = { "\nstack traceback:" }
    for index = #chain, 1, -1 do
        parts[#parts + 1] = "coroutine " .. #chain - index .. ":"
        parts[#parts + 1] = string.gsub(traceback(chain[index], ""), "^\nstack traceback:\n", "")
    end
    return table.concat(parts, "\n")
end

coroutine.resume = resume

function coroutine.wrap(body)
    if type(body) ~= "function" then
        error("bad argument #1 to 'wrap' (function expected, got " .. type(body) .. ")", 2)
    end
    local co = create(body)
    return function(...)
        return unwrap(co, resume(co, ...))
    end
end

function coroutine.status(co)
    if type(co) ~= "thread" then
        error("bad argument #1 to 'status' (coroutine expected)", 2)
    end
    return status(co)
end

-- Suspends until what the host was told to wait for is done: true, or false and why not. An export that would
-- block says so with a code, after `Host::wait_for`; its caller waits and calls again, until it would not.
function kit.wait()
    return raw_yield(token)
end
