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

-- Errors are raised at `level`, counted from the function that has it as an argument; 0 raises them without a place.
-- They are not caught on the way, because LuaJIT compiles nothing that goes on behind `pcall` after a loop.
local function from_within(level)
    return level > 0 and level + 1 or 0
end

-- The value of an option that has to be of one of these types, or nil.
local function option(options, name, level, message, first, second)
    local value = options[name]
    local kind = type(value)
    if kind ~= "nil" and kind ~= first and kind ~= second then
        error(message, level)
    end
    return value
end

-- Names and values that are texts.
local function each_pair(list, what, level, add)
    for name, value in pairs(list) do
        if type(name) ~= "string" then
            error(format('attempt to use a non-string key in the "%s" option table', what), level)
        end
        if type(value) ~= "string" and type(value) ~= "number" then
            error("attempt to use bad variable value type " .. type(value), level)
        end
        local text = tostring(value)
        add(host, name, #name, text, #text)
    end
end

local function text_of_arguments(args, level)
    local kind = type(args)
    if kind == "table" then
        local text = kit.encode_args(args, from_within(level))
        return text
    elseif kind == "string" or kind == "number" then
        local text = tostring(args)
        return text
    elseif kind ~= "nil" then
        error("Bad args option value", level)
    end
    return ""
end

-- Tells the host of one request, or raises what is wrong with it.
local function describe(uri, options, level)
    local within = from_within(level)
    if type(uri) ~= "string" and type(uri) ~= "number" then
        error(format("bad argument #1 to 'capture' (string expected, got %s)", type(uri)), level)
    end
    local args = text_of_arguments(options.args, within)
    option(options, "vars", within, "Bad vars option value", "table")
    option(options, "headers", within, "Bad headers option value", "table")
    option(options, "share_all_vars", within, "Bad share_all_vars option value", "boolean")
    option(options, "copy_all_vars", within, "Bad copy_all_vars option value", "boolean")
    local method = option(options, "method", within, "Bad http request method", "number") or ngx.HTTP_GET
    local ctx = options.ctx
    if ctx ~= nil and type(ctx) ~= "table" then
        error("Bad ctx option value type " .. type(ctx) .. ", expected a Lua table", level)
    end
    local body = option(options, "body", within, "Bad http request body", "string", "number")
    local name = method_names[method]
    if not name then
        error("unsupported HTTP method: " .. method, level)
    end
    local path, own = kit.split_uri(tostring(uri))
    if not path then
        error("unsafe uri in argument #1: " .. uri, level)
    end
    args = own ~= "" and args ~= "" and own .. "&" .. args or own .. args
    local sharing = options.share_all_vars and ALL or options.copy_all_vars and COPY or NOTHING
    local inherits = options.always_forward_body or method == ngx.HTTP_PUT or method == ngx.HTTP_POST
    if capture_describe(host, name, #name, path, #path, args, #args, sharing, inherits and 1 or 0) ~= 0 then
        error("too many subrequests", level)
    end
    if body ~= nil then
        body = tostring(body)
        capture_body(host, body, #body, 0)
    end
    if options.vars then
        each_pair(options.vars, "vars", within, capture_variable)
    end
    if options.headers then
        each_pair(options.headers, "headers", within, capture_header)
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
    if count == 1 then
        local result = fetch(number, 0)
        capture_end(host, number)
        return result
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

-- Has no arguments of any number, so that what follows a loop in it is compiled.
local function capture(uri, options)
    capture_drop(host)
    describe(uri, options or none, 3)
    return serve(1)
end

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
    return capture(uri, options)
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
    describe(query[1], options or none, 0)
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
