-- What every other part starts from: the host's functions and its block, typed by LuaJIT's FFI.
--
-- `kit` is the table that the parts share while they are loaded. `kit.C` has the host's functions: a part
-- takes those it needs into locals, so that they are constants in its compiled traces. Each takes the host
-- first and answers a code; what is not a number is then in `kit.block`.

local kit, declarations, exports, host, null = ...

local ffi = require "ffi"

ffi.cdef(declarations)

local C = {}
for name, export in pairs(exports) do
    C[name] = ffi.cast(export.signature, export.address)
end

kit.C = C
kit.host = ffi.cast("void *", host)
kit.block = ffi.cast("struct tidegate_block *", host)
local block, ffi_string = kit.block, ffi.string

-- The bytes that the last call gave, as a string. Everything that a call left in the block is read before anything
-- is allocated, numbers first: allocating may run finalizers, and these may call the host again.
function kit.given()
    local length = block.length
    return ffi_string(block.bytes, length)
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

-- The bits of the phases, and how errors call each.
local ACCESS, CONTENT, HEADER_FILTER, LOG = 1, 2, 4, 8
kit.ACCESS, kit.CONTENT, kit.HEADER_FILTER, kit.LOG = ACCESS, CONTENT, HEADER_FILTER, LOG

local contexts = {
    [ACCESS] = "access_by_lua*",
    [CONTENT] = "content_by_lua*",
    [HEADER_FILTER] = "header_filter_by_lua*",
    [LOG] = "log_by_lua*",
}

-- Raises why a function cannot be used in the phase that runs.
function kit.disabled(phase)
    if phase == 0 then
        error("no request found", 3)
    end
    error("API disabled in the context of " .. contexts[phase], 3)
end

-- Finalizers run between any two instructions that allocate, and must not disturb what is under way there. The
-- host knows them by the collector being stopped while they run, so it has to be told when that is otherwise so.
local stopped_by = { stop = 1, restart = 0, collect = 0, step = 0 }
local raw_collectgarbage = collectgarbage

function collectgarbage(what, ...)
    local stopped = stopped_by[what or "collect"]
    if stopped then
        block.collector_stopped = stopped
    end
    return raw_collectgarbage(what, ...)
end
