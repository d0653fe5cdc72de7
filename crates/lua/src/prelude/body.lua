-- ngx.req: the body of the request.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, wait, given = kit.block, kit.host, kit.wait, kit.given
local NO_REQUEST, limit, collect = kit.NO_REQUEST, kit.limit, kit.collect
local band = require("bit").band
local error, select, tonumber, tostring, type = error, select, tonumber, tostring, type

local req = ngx.req
local READS = kit.phases("server_rewrite rewrite access precontent content")
local LOOKS = kit.phases("server_rewrite rewrite access precontent content log", "header_filter body_filter balancer")
local CHANGES = kit.phases("set server_rewrite rewrite access precontent content balancer")

-- What the host says of the body.
local UNREAD, DISCARDED, FILE = 0, 1, 3

local body_state, body_get, body_file, body_discard = C.body_state, C.body_get, C.body_file, C.body_discard
local body_set, body_set_file, body_begin = C.body_set, C.body_set_file, C.body_begin
local body_append, body_finish, flow_read_body = C.body_append, C.body_finish, C.flow_read_body

local function check(mask)
    local phase = block.phase
    if band(phase, mask) == 0 then
        error(phase == 0 and "no request found" or kit.disabled_text(phase), 3)
    end
end

local function no_arguments(count)
    if count ~= 0 then
        error("expecting 0 arguments but seen " .. count, 3)
    end
end

function req.read_body(...)
    check(READS)
    no_arguments(select("#", ...))
    if body_state(host) ~= UNREAD then
        return
    end
    flow_read_body(host)
    local ok, why = wait()
    if not ok then
        error(why, 2)
    end
end

function req.discard_body(...)
    check(READS)
    no_arguments(select("#", ...))
    body_discard(host)
end

function req.get_body_data(...)
    check(LOOKS)
    local count, max = select("#", ...), ...
    if count > 1 then
        error("expecting 0 or 1 arguments but seen " .. count, 2)
    end
    if body_get(host, tonumber(max) or 0) == 0 then
        return given()
    end
    return nil
end

function req.get_body_file(...)
    check(LOOKS)
    no_arguments(select("#", ...))
    if body_file(host) == 0 then
        return given()
    end
    return nil
end

-- Raises unless there is a body that can be replaced.
local function read()
    local state = body_state(host)
    if state == DISCARDED then
        error("request body already discarded asynchronously", 3)
    end
    if state == UNREAD then
        error("request body not read yet", 3)
    end
end

local function text(value, number, name)
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" then
        error("bad argument #" .. number .. " to '" .. name .. "' (string expected, got "
            .. (kind == "nil" and "no value" or kind) .. ")", 3)
    end
    return tostring(value)
end

local function done(code)
    if code ~= 0 then
        error(code == NO_REQUEST and "no request found" or given(), 3)
    end
end

function req.set_body_data(...)
    check(CHANGES)
    local count = select("#", ...)
    if count ~= 1 then
        error("expecting 1 arguments but seen " .. count, 2)
    end
    local data = text((...), 1, "set_body_data")
    read()
    done(body_set(host, data, #data))
end

function req.set_body_file(...)
    check(CHANGES)
    local count = select("#", ...)
    if count ~= 1 and count ~= 2 then
        error("expecting 1 or 2 arguments but seen " .. count, 2)
    end
    local name, clean = ...
    name = text(name, 1, "set_body_file")
    read()
    done(body_set_file(host, name, #name, clean and 1 or 0))
end

function req.init_body(...)
    check(CHANGES)
    local count, size = select("#", ...), ...
    if count > 1 then
        error("expecting 0 or 1 argument but seen " .. count, 2)
    end
    read()
    if count == 1 then
        local number = tonumber(size)
        if not number then
            error("bad argument #1 to 'init_body' (number expected, got " .. type(size) .. ")", 2)
        end
        if number < 0 then
            error("bad size argument: " .. number, 2)
        end
        done(body_begin(host, number))
    else
        done(body_begin(host, -1))
    end
end

function req.append_body(...)
    check(CHANGES)
    local count = select("#", ...)
    if count ~= 1 then
        error("expecting 1 arguments but seen " .. count, 2)
    end
    local chunk = text((...), 1, "append_body")
    done(body_append(host, chunk, #chunk))
end

function req.finish_body(...)
    check(CHANGES)
    local count = select("#", ...)
    if count ~= 0 then
        error("expecting 0 argument but seen " .. count, 2)
    end
    done(body_finish(host))
end

local text_arguments = C.text_arguments

function req.get_post_args(...)
    check(LOOKS)
    local count, max = select("#", ...), ...
    if count > 1 then
        error("expecting 0 or 1 arguments but seen " .. count, 2)
    end
    local state = body_state(host)
    if state == DISCARDED then
        return {}
    end
    if state == UNREAD then
        error("no request body found; maybe you should turn on lua_need_request_body?", 2)
    end
    if state == FILE then
        return nil, "request body in temp file not supported"
    end
    if body_get(host, 0) ~= 0 then
        return {}
    end
    local data = given()
    local found = text_arguments(host, data, #data, limit(max))
    local truncated = block.flags ~= 0
    local args = collect(block.pairs, found, {})
    if truncated then
        kit.log(kit.ngx.DEBUG, "lua hit query args limit " .. limit(max))
        return args, "truncated"
    end
    return args
end
