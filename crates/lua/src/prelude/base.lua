-- What every other part starts from: the host's functions and its block, typed by LuaJIT's FFI.
--
-- `kit` is the table that the parts share while they are loaded. `kit.C` has the host's functions: a part
-- takes those it needs into locals, so that they are constants in its compiled traces. Each takes the host
-- first and answers a code; what is not a number is then in `kit.block`.

local kit, declarations, exports, host, null, phases, strict = ...

local ffi = require "ffi"
local band, bor = require("bit").band, require("bit").bor
local error, ipairs = error, ipairs
local gmatch, upper = string.gmatch, string.upper

ffi.cdef(declarations)

local C, types = {}, {}
for index = 1, #exports, 3 do
    local signature = exports[index + 1]
    local ctype = types[signature]
    if not ctype then
        ctype = ffi.typeof(signature)
        types[signature] = ctype
    end
    C[exports[index]] = ffi.cast(ctype, exports[index + 2])
end

kit.C = C
kit.host = ffi.cast("void *", host)
kit.block = ffi.cast("struct tidegate_block *", host)
local block, ffi_string = kit.block, ffi.string

-- The bytes that the last call gave, as a string. Everything that a call left in the block is read before anything
-- is allocated, numbers first: allocating may run finalizers, and these may call the host again.
--
-- Here as in every function that scripts call often, no builtin function is called last: a trace that begins with such a
-- function would be given up at its end, again and again, until LuaJIT compiles nothing any more that calls it.
function kit.given()
    local length = block.length
    local text = ffi_string(block.bytes, length)
    return text
end

-- A yield of this value, and of no other, is meant for the host.
kit.token = host
kit.null = null

-- Codes that the host's functions answer.
kit.MISSING = -5
kit.NO_REQUEST = -100

ngx = { req = {}, resp = {}, worker = {}, config = {}, shared = {} }
package.loaded.ngx = ngx
kit.ngx = ngx
-- Fields of `ngx` that are computed when they are read or written, by name. They are called last by the
-- metatable of `ngx`, so they raise errors at level 2.
kit.getters = {}
kit.setters = {}

-- The bit of each phase as `kit.ACCESS`, `kit.HEADER_FILTER` …, what `ngx.get_phase()` says, and how errors call it.
kit.phase_names = {}
local contexts = {}
for _, phase in ipairs(phases) do
    kit[upper(phase.name)] = phase.bit
    kit.phase_names[phase.bit] = phase.name
    contexts[phase.bit] = phase.context
end
kit.strict = strict

local function add(mask, names)
    for name in gmatch(names, "%S+") do
        mask = bor(mask, kit[upper(name)] or error("no phase is called " .. name))
    end
    return mask
end

-- The mask of the phases with these names, `"access content"`; and those of `relaxed` unless OpenResty's own
-- table is asked for.
function kit.phases(names, relaxed)
    return add(strict and 0 or add(0, relaxed or ""), names)
end

-- Where functions may wait.
kit.YIELDABLE = kit.phases("server_rewrite rewrite access precontent content timer ssl_cert ssl_session_fetch ssl_client_hello",
    "header_filter body_filter log balancer init_worker exit_worker ssl_session_store")
-- The same, for what also needs a request whose answer has not begun to leave.
kit.ANSWERABLE = kit.phases("server_rewrite rewrite access precontent content")

-- Where nothing may wait in OpenResty.
kit.PLAIN_COROUTINES = kit.phases("set header_filter body_filter log init_worker")

-- Why a function cannot be used in a phase.
function kit.disabled_text(phase)
    if phase == 0 or phase == kit.INIT then
        return "no request found"
    end
    return "API disabled in the context of " .. contexts[phase]
end

-- The same, as those functions say it that OpenResty has by FFI.
function kit.current_text()
    local phase = block.phase
    if phase == 0 or phase == kit.INIT then
        return "no request found"
    end
    return "API disabled in the current context"
end

-- Raises why a function cannot be used in the phase that runs. To be called, or called last, by that function.
local function disabled(phase)
    error(kit.disabled_text(phase), 3)
end
kit.disabled = disabled

-- Raises unless the phase that runs is one of `mask`. To be called by the function that a script called.
function kit.check(mask)
    local phase = block.phase
    if band(phase, mask) == 0 then
        return disabled(phase)
    end
end

-- The same, for functions that OpenResty has by FFI.
function kit.check_current(mask)
    if band(block.phase, mask) == 0 then
        error(kit.current_text(), 3)
    end
end

-- Finalizers run between any two instructions that allocate, and must not disturb what is under way there. The
-- host knows them by the collector being stopped while they run, so it has to be told when that is otherwise so.
local stopped_by = { stop = 1, restart = 0, collect = 0, step = 0 }
local raw_collectgarbage = collectgarbage

function collectgarbage(what, ...)
    local stopped = stopped_by[what or "collect"]
    if stopped then
        block.collector_stopped = stopped
    elseif what == "setpause" then
        block.pause_is_set = 1
    end
    local said = raw_collectgarbage(what, ...)
    if what == "setpause" then
        -- LuaJIT's own is set again and again by the host, to have garbage collected when it suits.
        said = block.collector_pause
        block.collector_pause = tonumber((...)) or 0
    end
    return said
end

-- What is garbage from the beginning, and made anew whenever it has been collected, tells how often that happens.
local raw_newproxy = newproxy
kit.witness = raw_newproxy(true)
getmetatable(kit.witness).__gc = function()
    block.collections = block.collections + 1
    raw_newproxy(kit.witness)
end
raw_newproxy(kit.witness)

-- A run that is being ended calls its handlers of errors from where nothing could end them, so they are not called then.
local raw_xpcall, traceback, type = xpcall, debug.traceback, type

function xpcall(body, handler, ...)
    if type(handler) ~= "function" or handler == traceback then
        return raw_xpcall(body, handler, ...)
    end
    return raw_xpcall(body, function(raised)
        if block.ending ~= 0 then
            return raised
        end
        return handler(raised)
    end, ...)
end
