-- ngx.ctx: a table for each request, made when it is asked for.

local kit = ...

local host, NO_REQUEST = kit.host, kit.NO_REQUEST
local context_slot, context_heritage = kit.C.context_slot, kit.C.context_heritage
local new_table = require "table.new"
local error, setmetatable, type = error, setmetatable, type

-- The tables of all requests, by the number that the host gives each. The host removes them. Made large so
-- that it is an array, where a number that comes and goes costs nothing.
local tables = new_table(1024, 0)
kit.ctx_tables = tables
-- Where libraries look for them that pass a table on from one request to another.
debug.getregistry().ngx_lua_ctx_tables = tables

-- A table for a request that has none. What a handshake left behind is seen through it.
local function make()
    local ctx = new_table(0, 4)
    local parent = tables[context_heritage(host)]
    if parent ~= nil then
        if parent.__index == nil then
            parent.__index = parent
        end
        setmetatable(ctx, parent)
    end
    return ctx
end

-- The request's table. Where there is none yet, `own` becomes it if it is given.
function kit.context(own)
    local slot = context_slot(host)
    if slot == NO_REQUEST then
        error("no request found", 2)
    end
    local ctx = tables[slot]
    if ctx == nil then
        ctx = own or make()
        tables[slot] = ctx
    end
    return ctx
end

function kit.getters.ctx()
    local slot = context_slot(host)
    if slot == NO_REQUEST then
        error("no request found", 2)
    end
    local ctx = tables[slot]
    if ctx == nil then
        ctx = make()
        tables[slot] = ctx
    end
    return ctx
end

function kit.setters.ctx(ctx)
    if type(ctx) ~= "table" then
        error("ctx should be a table while getting a " .. type(ctx), 2)
    end
    local slot = context_slot(host)
    if slot == NO_REQUEST then
        error("no request found", 2)
    end
    tables[slot] = ctx
end
