-- ngx.thread: light threads.
--
-- The host runs them and knows how each is, by the number that `spawn` gives it. What a thread and its parent are to
-- each other is known here.

local kit = ...
local C = kit.C

local block, host, token, waiting, disabled = kit.block, kit.host, kit.token, kit.waiting, kit.disabled
local thread_watch = C.thread_watch
local thread_spawn, thread_state, thread_expect = C.thread_spawn, C.thread_state, C.thread_expect
local thread_join, thread_collect, thread_kill = C.thread_join, C.thread_collect, C.thread_kill
local create, raw_yield = coroutine.create, coroutine.yield
local raw_status, running = coroutine.status, coroutine.running
local band = require("bit").band
local error, select, setmetatable, type = error, select, setmetatable, type

local YIELDABLE = kit.YIELDABLE
local ALIVE, ZOMBIE, GONE, CAPTURES = 0, 1, 2, 3

local tickets = setmetatable({}, { __mode = "k" })
-- Weak on both sides: a parent's stack has its children.
local parents = setmetatable({}, { __mode = "kv" })

local thread = {}
kit.ngx.thread = thread

local function check_phase()
    local phase = block.phase
    if band(phase, YIELDABLE) == 0 then
        return disabled(phase)
    end
end

function thread.spawn(body, ...)
    check_phase()
    if type(body) ~= "function" then
        error("bad argument #1 to 'spawn' (Lua function expected)", 2)
    end
    local co = create(body)
    local ticket = thread_spawn(host)
    if ticket < 0 then
        error("too many light threads", 2)
    end
    tickets[co] = ticket
    parents[co] = running()
    waiting[co] = true
    raw_yield(token, co, ...)
    return co
end

local CLIENTS = kit.phases("rewrite access precontent content")
local refusals = { "lua_check_client_abort is off", "duplicate call" }

-- Has `body` run once the client has gone away. The request then only ends when that says so, or when all else does.
function kit.ngx.on_abort(body)
    local phase = block.phase
    if band(phase, CLIENTS) == 0 then
        return disabled(phase)
    end
    if type(body) ~= "function" then
        error("bad argument #1 to 'on_abort' (Lua function expected)", 2)
    end
    local co = create(body)
    local code = thread_watch(host)
    if code ~= 0 then
        return nil, refusals[code] or "no memory"
    end
    waiting[co] = true
    raw_yield(token, co)
    return 1
end

function thread.wait(...)
    check_phase()
    local count = select("#", ...)
    if count == 0 then
        error("at least one coroutine should be specified", 2)
    end
    local self = running()
    for index = 1, count do
        local co = select(index, ...)
        if type(co) ~= "thread" then
            error("bad argument #" .. index .. " to 'wait' (lua thread expected)", 2)
        end
        local ticket = tickets[co]
        if not ticket then
            error("attempt to wait on a coroutine that is not a user thread", 2)
        end
        if parents[co] ~= self then
            error("only the parent coroutine can wait on the thread", 2)
        end
        local state = thread_state(host, ticket)
        if state == ZOMBIE then
            thread_collect(host, ticket)
            return raw_yield(token)
        end
        if state == GONE and index == count then
            return nil, "already waited or killed"
        end
    end
    for index = 1, count do
        thread_expect(host, tickets[select(index, ...)], index == 1 and 1 or 0)
    end
    thread_join(host)
    return raw_yield(token)
end

function thread.kill(co)
    check_phase()
    if type(co) ~= "thread" then
        error("bad argument #1 to 'kill' (lua thread expected)", 2)
    end
    local ticket = tickets[co]
    if not ticket then
        return nil, "not user thread"
    end
    if parents[co] ~= running() then
        return nil, "killer not parent"
    end
    local state = thread_kill(host, ticket)
    if state == ALIVE then
        return 1
    end
    if state == CAPTURES then
        return nil, "pending subrequests"
    end
    return nil, state == ZOMBIE and "already terminated" or "already waited or killed"
end

-- How a light thread is; nil for other coroutines.
function kit.thread_status(co)
    local ticket = tickets[co]
    if not ticket then
        return nil
    end
    local state = thread_state(host, ticket)
    if state == ALIVE or state == CAPTURES then
        return "running"
    end
    local parent = parents[co]
    return state == ZOMBIE and parent and raw_status(parent) ~= "dead" and "zombie" or "dead"
end
