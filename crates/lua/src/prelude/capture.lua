-- ngx.location: requests within a request.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, wait, given, collect = kit.block, kit.host, kit.wait, kit.given, kit.collect
local band = require("bit").band
local error, pairs, select, tostring, type = error, pairs, select, tostring, type
local format, pcall = string.format, pcall
local unpack = unpack

local WAITS = kit.phases("server_rewrite rewrite access precontent content", "header_filter body_filter log")

local capture_describe, capture_body, capture_variable = C.capture_describe, C.capture_body, C.capture_variable
local capture_header, capture_context, capture_begin = C.capture_header, C.capture_context, C.capture_begin
local capture_drop, capture_status, capture_headers = C.capture_drop, C.capture_status, C.capture_headers
local capture_text, capture_end = C.capture_text, C.capture_end

local NOTHING, COPY, ALL = 0, 1, 2
local ctx_tables = kit.ctx_tables
local method_names = kit.method_names

-- The value of an option that has to be of one of these types, or nil.
local function option(options, name, message, first, second)
    local value = options[name]
    local kind = type(value)
    if kind ~= "nil" and kind ~= first and kind ~= second then
        error(message, 0)
    end
    return value
end

-- Names and values that are texts.
local function each_pair(list, what, add)
    for name, value in pairs(list) do
        if type(name) ~= "string" then
            error(format('attempt to use a non-string key in the "%s" option table', what), 0)
        end
        if type(value) ~= "string" and type(value) ~= "number" then
            error("attempt to use bad variable value type " .. type(value), 0)
        end
        local text = tostring(value)
        add(host, name, #name, text, #text)
    end
end

local function merge(own, given_args)
    local kind = type(given_args)
    local text = ""
    if kind == "table" then
        text = kit.encode_args(given_args, 0)
    elseif kind == "string" or kind == "number" then
        text = tostring(given_args)
    elseif kind ~= "nil" then
        error("Bad args option value", 0)
    end
    return own ~= "" and text ~= "" and own .. "&" .. text or own .. text
end

-- Tells the host of one request; raises what is wrong with it, without a place.
local function describe(uri, options)
    if type(uri) ~= "string" and type(uri) ~= "number" then
        error(format("bad argument #1 to 'capture' (string expected, got %s)", type(uri)), 0)
    end
    local args = merge("", options.args)
    option(options, "vars", "Bad vars option value", "table")
    option(options, "headers", "Bad headers option value", "table")
    option(options, "share_all_vars", "Bad share_all_vars option value", "boolean")
    option(options, "copy_all_vars", "Bad copy_all_vars option value", "boolean")
    local method = option(options, "method", "Bad http request method", "number") or ngx.HTTP_GET
    local ctx = options.ctx
    if ctx ~= nil and type(ctx) ~= "table" then
        error("Bad ctx option value type " .. type(ctx) .. ", expected a Lua table", 0)
    end
    local body = option(options, "body", "Bad http request body", "string", "number")
    local name = method_names[method]
    if not name then
        error("unsupported HTTP method: " .. method, 0)
    end
    local path, own = kit.split_uri(tostring(uri))
    if not path then
        error("unsafe uri in argument #1: " .. uri, 0)
    end
    args = own ~= "" and args ~= "" and own .. "&" .. args or own .. args
    local sharing = options.share_all_vars and ALL or options.copy_all_vars and COPY or NOTHING
    local inherits = options.always_forward_body or method == ngx.HTTP_PUT or method == ngx.HTTP_POST
    if capture_describe(host, name, #name, path, #path, args, #args, sharing, inherits and 1 or 0) ~= 0 then
        error("too many subrequests", 0)
    end
    if body ~= nil then
        body = tostring(body)
        capture_body(host, body, #body, 0)
    end
    if options.vars then
        each_pair(options.vars, "vars", capture_variable)
    end
    if options.headers then
        each_pair(options.headers, "headers", capture_header)
    end
    if ctx then
        ctx_tables[capture_context(host)] = ctx
    end
end

local function fetch(number, index)
    local status = capture_status(host, number, index)
    local truncated = block.flags ~= 0
    local count = capture_headers(host, number, index)
    local header = collect(block.pairs, count, {})
    capture_text(host, number, index)
    return { status = status, header = header, body = given(), truncated = truncated }
end

local none = {}

-- Serves what was described and answers with all results. To be called last.
local function serve(count)
    local number = capture_begin(host)
    if number < 0 then
        error(number == kit.NO_REQUEST and "no request found" or given(), 2)
    end
    local ok, why = wait()
    if not ok then
        error(why, 2)
    end
    local results = {}
    for index = 1, count do
        results[index] = fetch(number, index - 1)
    end
    capture_end(host, number)
    return unpack(results, 1, count)
end

local function check()
    local phase = block.phase
    if band(phase, WAITS) == 0 then
        error(kit.disabled_text(phase), 3)
    end
end

ngx.location = {}

function ngx.location.capture(...)
    check()
    local count = select("#", ...)
    if count ~= 1 and count ~= 2 then
        error("expecting one or two arguments", 2)
    end
    local uri, options = ...
    if options ~= nil and type(options) ~= "table" then
        error("expecting table as the 2nd argument for subrequest 0, but got " .. type(options), 2)
    end
    capture_drop(host)
    local ok, why = pcall(describe, uri, options or none)
    if not ok then
        error(why, 2)
    end
    return serve(1)
end

-- Describes the query at an index; raises what is wrong with it, without a place.
local function describe_query(query, index)
    if query == nil then
        error("only array-like tables are allowed", 0)
    end
    if type(query) ~= "table" then
        error(format("the query argument %d is not a table, but a %s", index, type(query)), 0)
    end
    if #query ~= 1 and #query ~= 2 then
        error(format("query argument %d expecting one or two arguments", index), 0)
    end
    local options = query[2]
    if options ~= nil and type(options) ~= "table" then
        error(format("expecting table as the 2nd argument for subrequest %d, but got %s", index, type(options)), 0)
    end
    describe(query[1], options or none)
end

function ngx.location.capture_multi(...)
    check()
    local count, queries = select("#", ...), ...
    if count ~= 1 then
        error("only one argument is expected, but got " .. count, 2)
    end
    if type(queries) ~= "table" then
        error("bad argument #1 to 'capture_multi' (table expected, got " .. type(queries) .. ")", 2)
    end
    local wanted = #queries
    if wanted == 0 then
        error("at least one subrequest should be specified", 2)
    end
    capture_drop(host)
    for index = 1, wanted do
        local ok, why = pcall(describe_query, queries[index], index - 1)
        if not ok then
            error(why, 2)
        end
    end
    return serve(wanted)
end
