-- ngx.req: method, headers, arguments, body.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, wait, disabled, NO_REQUEST = kit.block, kit.host, kit.wait, kit.disabled, kit.NO_REQUEST
local given, ffi_string = kit.given, require("ffi").string
local band = require("bit").band
local clear = require "table.clear"
local lower, gsub, find = string.lower, string.gsub, string.find
local error, rawget, rawset, setmetatable, tonumber, tostring, type = error, rawget, rawset, setmetatable, tonumber, tostring, type

local req = ngx.req
local ANSWERABLE = kit.ANSWERABLE
local DEFAULT_MAX = 100
local UNLIMITED = 2 ^ 31

local request_method = C.request_method

function req.get_method()
    if request_method(host) == NO_REQUEST then
        error("no request found", 2)
    end
    return given()
end

-- Puts the pairs that the host listed into a table: a name that comes again gets a table of its values. The list
-- comes first, so that it is read before the table is made.
local function collect(list, count, into)
    for index = 0, count - 1 do
        local pair = list[index]
        local name = ffi_string(pair.name, pair.name_length)
        local value = pair.value_length < 0 or ffi_string(pair.value, pair.value_length)
        local existing = rawget(into, name)
        if existing == nil then
            rawset(into, name, value)
        elseif type(existing) == "table" then
            existing[#existing + 1] = value
        else
            rawset(into, name, { existing, value })
        end
    end
    return into
end
kit.collect = collect

-- How many the caller wants at most; 0 is no limit.
local function limit(max, default)
    max = tonumber(max)
    if not max or not (max >= 0) then
        return default or DEFAULT_MAX
    end
    return max < UNLIMITED and max or 0
end
kit.limit = limit

-- Header names are in lower case with hyphens; any case and underscores find them too.
kit.headers_metatable = {
    __index = function(headers, name)
        if type(name) ~= "string" then
            return nil
        end
        name = lower(name)
        local value = rawget(headers, name)
        if value == nil and find(name, "_", 1, true) then
            value = rawget(headers, (gsub(name, "_", "-")))
        end
        return value
    end,
}
local headers_metatable = kit.headers_metatable

local request_headers = C.request_headers

function req.get_headers(max, raw)
    local count = request_headers(host, limit(max), raw and 1 or 0)
    if count == NO_REQUEST then
        error("no request found", 2)
    end
    local truncated = block.flags ~= 0
    local headers = collect(block.pairs, count, {})
    if not raw then
        setmetatable(headers, headers_metatable)
    end
    if truncated then
        return headers, "truncated"
    end
    return headers
end

local request_header_set, request_header_clear = C.request_header_set, C.request_header_clear
local request_header_set_staged, header_stage = C.request_header_set_staged, C.header_stage

-- Hands all values of a header to the host, to be set together. Their texts are made first, because that may run
-- anything.
local function stage(values)
    local texts = {}
    for index = 1, #values do
        texts[index] = tostring(values[index])
    end
    for index = 1, #texts do
        local text = texts[index]
        header_stage(host, text, #text, index == 1 and 1 or 0)
    end
end
kit.stage = stage

-- Raises why the host did not take a request header.
local function refuse(code)
    if code == NO_REQUEST then
        error("no request found", 3)
    end
    error(code == -1 and "invalid header name" or "invalid header value", 3)
end

function req.set_header(name, value)
    if type(name) ~= "string" then
        if name == nil then
            error("bad 'name' argument: string expected, got nil", 2)
        end
        name = tostring(name)
    end
    local code
    if type(value) == "string" then
        code = request_header_set(host, name, #name, value, #value)
    elseif value == nil then
        code = request_header_clear(host, name, #name)
    elseif type(value) == "table" then
        if #value == 0 then
            code = request_header_clear(host, name, #name)
        else
            stage(value)
            code = request_header_set_staged(host, name, #name)
        end
    else
        value = tostring(value)
        code = request_header_set(host, name, #name, value, #value)
    end
    if code ~= 0 then
        refuse(code)
    end
end

function req.clear_header(name)
    if type(name) ~= "string" then
        if name == nil then
            error("bad 'name' argument: string expected, got nil", 2)
        end
        name = tostring(name)
    end
    local code = request_header_clear(host, name, #name)
    if code ~= 0 then
        refuse(code)
    end
end

local request_arguments = C.request_arguments

function req.get_uri_args(max, into)
    local count = request_arguments(host, limit(max))
    if count == NO_REQUEST then
        error("no request found", 2)
    end
    local truncated, list = block.flags ~= 0, block.pairs
    if into then
        clear(into)
    end
    local args = collect(list, count, into or {})
    if truncated then
        return args, "truncated"
    end
    return args
end

local request_has_body, request_body, flow_read_body = C.request_has_body, C.request_body, C.flow_read_body

function req.read_body()
    local phase = block.phase
    if band(phase, ANSWERABLE) == 0 then
        disabled(phase)
    end
    if request_has_body(host) == 0 then
        return
    end
    flow_read_body(host)
    local ok, why = wait()
    if not ok then
        error(why, 2)
    end
end

function req.get_body_data(max)
    local code = request_body(host, tonumber(max) or 0)
    if code == 0 then
        return given()
    end
    if code == NO_REQUEST then
        error("no request found", 2)
    end
    return nil
end
