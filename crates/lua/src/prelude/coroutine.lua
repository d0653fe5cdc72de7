-- Coroutines that the host can suspend from within.
--
-- A function that must wait tells the host for what and yields the token. Directly on the host's thread the host
-- gets it. Inside a user's coroutine `coroutine.resume` gets it instead, yields it on, and when it is
-- resumed, takes the coroutine up again with what came. So the user never sees it.

local kit = ...

local token = kit.token
local create, raw_resume, raw_yield = coroutine.create, coroutine.resume, coroutine.yield
local raw_status = coroutine.status
local error, type = error, type

-- Coroutines that are suspended because something inside of them waits for the host.
local waiting = setmetatable({}, { __mode = "k" })

-- Each level of resumption takes up the C stack, and LuaJIT does not check it.
local MAX_DEPTH = 190
local depth = 0

local finish

-- Takes up `co` with what the host answered.
local function continue(co, ...)
    waiting[co] = nil
    depth = depth + 1
    return finish(co, raw_resume(co, ...))
end

-- Returns what a resumption came to, unless that was the token.
function finish(co, ok, ...)
    depth = depth - 1
    if ok and (...) == token then
        waiting[co] = true
        return continue(co, raw_yield(token))
    end
    return ok, ...
end

local function resume(co, ...)
    if type(co) ~= "thread" then
        error("bad argument #1 to 'resume' (coroutine expected)", 2)
    end
    if waiting[co] then
        return false, "cannot resume non-suspended coroutine"
    end
    if depth >= MAX_DEPTH then
        return false, "C stack overflow"
    end
    depth = depth + 1
    return finish(co, raw_resume(co, ...))
end

local function unwrap(ok, ...)
    if ok then
        return ...
    end
    error((...), 0)
end

coroutine.resume = resume

function coroutine.wrap(body)
    local co = create(body)
    return function(...)
        return unwrap(resume(co, ...))
    end
end

function coroutine.status(co)
    local status = raw_status(co)
    if status == "suspended" and waiting[co] then
        return "normal"
    end
    return status
end

-- Suspends until what the host was told to wait for is done: true, or false and why not. An export that would
-- block says so with a code, after `Host::wait_for`; its caller waits and calls again, until it would not.
function kit.wait()
    return raw_yield(token)
end
