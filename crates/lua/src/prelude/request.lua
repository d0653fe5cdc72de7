-- ngx.req: method, path, headers, arguments.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, NO_REQUEST = kit.block, kit.host, kit.NO_REQUEST
local given, ffi_string = kit.given, require("ffi").string
local band = require("bit").band
local clear, new_table = require "table.clear", require "table.new"
local byte, find, format, gsub, lower = string.byte, string.find, string.format, string.gsub, string.lower
local ipairs, select = ipairs, select
local error, rawget, rawset, setmetatable, tonumber, tostring, type = error, rawget, rawset, setmetatable, tonumber, tostring, type

local req = ngx.req
local CHANGES = kit.phases("set server_rewrite rewrite access precontent content header_filter body_filter balancer", "log")
local LOOKS = kit.phases("set server_rewrite rewrite access precontent content header_filter body_filter log balancer")
local DEFAULT_MAX = 100
local UNLIMITED = 2 ^ 31

local check, check_current = kit.check, kit.check_current

local request_method, request_method_set = C.request_method, C.request_method_set
local methods = {}
for _, name in ipairs(kit.methods) do
    methods[ngx["HTTP_" .. name]] = name
end
kit.method_names = methods

function req.set_method(method)
    check_current(CHANGES)
    if type(method) ~= "number" then
        error("bad method number", 2)
    end
    local name = methods[method]
    if not name then
        error("unsupported HTTP method: " .. method, 2)
    end
    request_method_set(host, name, #name)
end

function req.get_method()
    if request_method(host) == NO_REQUEST then
        error(kit.current_text(), 2)
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
        if type(name) ~= "string" and type(name) ~= "number" then
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
        error(kit.current_text(), 2)
    end
    local more = block.flags
    local list = block.pairs
    local headers = collect(list, count, new_table(0, count))
    if not raw then
        setmetatable(headers, headers_metatable)
    end
    if more ~= 0 then
        kit.log(ngx.DEBUG, "lua exceeding request header limit " .. count + more .. " > " .. count)
        return headers, "truncated"
    end
    return headers
end

local request_header_set, request_header_clear = C.request_header_set, C.request_header_clear
local request_header_set_staged, header_stage = C.request_header_set_staged, C.header_stage

-- Hands all values of a header to the host, to be set together. Their texts are made first, because that may run
-- anything.
local function stage(values)
    local count, first, second = #values, values[1], values[2]
    if count == 2 and type(first) == "string" and type(second) == "string" then
        header_stage(host, first, #first, 1)
        header_stage(host, second, #second, 0)
        return
    end
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

-- Raises why the host did not take a request header. One without a name is left out.
local function refuse(code, name)
    if code == NO_REQUEST then
        error(kit.current_text(), 3)
    elseif code == -1 and name == "" then
        return
    end
    error(code == -1 and "invalid header name" or "invalid header value", 3)
end

local request_header_add = C.request_header_add

-- The name of a header, whatever was given for it.
local function header_name(name)
    if name == nil then
        error("bad 'name' argument: string expected, got nil", 3)
    end
    return type(name) == "string" and name or tostring(name)
end

function req.set_header(name, value)
    check_current(CHANGES)
    name = header_name(name)
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
        refuse(code, name)
    end
end

function kit.add_request_header(name, value)
    check_current(CHANGES)
    name = header_name(name)
    if value == nil then
        error("bad 'value' argument: string or table expected, got nil", 2)
    end
    local values = type(value) == "table" and value or { value }
    if #values == 0 then
        error("bad 'value' argument: non-empty table expected", 2)
    end
    for index = 1, #values do
        local text = tostring(values[index])
        local code = request_header_add(host, name, #name, text, #text)
        if code ~= 0 then
            refuse(code, name)
        end
    end
end

function req.clear_header(name)
    check_current(CHANGES)
    name = header_name(name)
    local code = request_header_clear(host, name, #name)
    if code ~= 0 then
        refuse(code, name)
    end
end

local request_arguments = C.request_arguments

function req.get_uri_args(max, into)
    local count = request_arguments(host, limit(max))
    if count == NO_REQUEST then
        error(kit.current_text(), 2)
    end
    local truncated, list = block.flags ~= 0, block.pairs
    if into then
        clear(into)
    end
    local args = collect(list, count, into or {})
    if truncated then
        kit.log(ngx.DEBUG, "lua hit query args limit " .. limit(max))
        return args, "truncated"
    end
    return args
end

local request_path_set, request_args_set = C.request_path_set, C.request_args_set
local flow_jump, thread_captures, wait = C.flow_jump, C.thread_captures, kit.wait
local JUMPS = kit.phases("server_rewrite rewrite")

local function expect_boolean(value, number)
    if type(value) ~= "boolean" then
        error("bad argument #" .. number .. " to 'set_uri' (boolean expected, got " .. type(value) .. ")", 3)
    end
end

function req.set_uri(...)
    local count = select("#", ...)
    if count < 1 or count > 3 then
        error("expecting 1, 2 or 3 arguments but seen " .. count, 2)
    end
    local uri, jump, binary = ...
    if type(uri) ~= "string" and type(uri) ~= "number" then
        error("bad argument #1 to 'set_uri' (string expected, got " .. type(uri) .. ")", 2)
    end
    uri = tostring(uri)
    if uri == "" then
        error("attempt to use zero-length uri", 2)
    end
    if count == 3 then
        expect_boolean(binary, 3)
    end
    local at = not binary and find(uri, "[%z\1-\8\10-\31\127]")
    if at then
        error(format('unsafe byte "0x%02x" in uri "%s" (maybe you want to set the \'binary\' argument?)', byte(uri, at),
            ngx.escape_uri(uri, 0)), 2)
    end
    if count >= 2 then
        expect_boolean(jump, 2)
        if jump then
            check(JUMPS)
        end
    end
    if jump and thread_captures(host) == 1 then
        error("attempt to abort with pending subrequests", 2)
    end
    request_path_set(host, uri, #uri)
    if jump then
        flow_jump(host)
        return wait()
    end
end

-- The text of arguments that are given as one or as a table. `number` is that of the argument they are.
local function arguments(args, number, name)
    local kind = type(args)
    if kind == "number" then
        local text = tostring(args)
        return text
    end
    if kind == "string" then
        return (gsub(args, "[%z\1-\32\127]", function(unsafe)
            return format("%%%02X", byte(unsafe))
        end))
    end
    if kind == "table" then
        return (kit.encode_args(args, 4))
    end
    error(format("bad argument #%d to '%s' (string, number, or table expected, but got %s)", number, name, kind), 3)
end
kit.arguments = arguments

function req.set_uri_args(...)
    check(CHANGES)
    local count = select("#", ...)
    if count ~= 1 then
        error("expecting 1 argument but seen " .. count, 2)
    end
    local text = arguments((...), 1, "set_uri_args")
    request_args_set(host, text, #text)
end

local request_raw_head, request_is_internal, request_is_sub = C.request_raw_head, C.request_is_internal, C.request_is_sub

function req.raw_header(without_line)
    check(LOOKS)
    if request_raw_head(host) ~= 0 then
        return nil
    end
    local head = kit.given()
    return without_line and (gsub(head, "^[^\n]*\n", "", 1)) or head
end

function req.is_internal()
    if band(block.phase, LOOKS) == 0 then
        error(kit.current_text())
    end
    return request_is_internal(host) == 1
end

function kit.getters.is_subrequest()
    check_current(LOOKS)
    return request_is_sub(host) == 1
end
