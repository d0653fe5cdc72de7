-- Encodings.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, given, collect, limit = kit.block, kit.host, kit.given, kit.collect, kit.limit
local text_escape, text_unescape, text_arguments = C.text_escape, C.text_unescape, C.text_arguments
local concat = table.concat
local error, next, pairs, tostring, type = error, next, pairs, tostring, type

local COMPONENT = 2

-- Anything but nil and false as a string.
local function stringify(value)
    if type(value) == "string" then
        return value
    end
    return value and tostring(value) or ""
end
kit.stringify = stringify

local function escape(text, kind)
    if text_escape(host, text, #text, kind) == 0 then
        return given()
    end
    return text
end

function ngx.escape_uri(text, kind)
    if kind == nil then
        kind = COMPONENT
    elseif type(kind) ~= "number" then
        error('"type" is not a number', 2)
    elseif kind < 0 or kind > 6 then
        error('"type" ' .. kind .. " out of range", 2)
    end
    return escape(stringify(text), kind)
end

function ngx.unescape_uri(text)
    text = stringify(text)
    text_unescape(host, text, #text)
    return given()
end

-- `name=value`, the bare name for true, and nothing for false.
local function pair(name, value, level)
    local kind = type(value)
    if kind == "string" or kind == "number" then
        return name .. "=" .. escape(tostring(value), COMPONENT)
    elseif kind ~= "boolean" then
        error("attempt to use " .. kind .. " as query arg value", level > 0 and level + 1 or 0)
    end
    return value and name or nil
end

local function escape_name(name, level)
    if type(name) ~= "string" then
        error('attempt to use a non-string key in the "args" option table', level > 0 and level + 1 or 0)
    end
    return escape(name, COMPONENT)
end

-- The arguments in a table, as a query string. Errors are raised at `level`. One argument takes no loop, which LuaJIT
-- would not compile together with what is around it.
local function encode_args(args, level)
    local first, only = next(args)
    if first == nil then
        return ""
    elseif next(args, first) == nil and type(only) ~= "table" then
        return pair(escape_name(first, level), only, level) or ""
    end
    local parts = {}
    for name, value in pairs(args) do
        name = escape_name(name, level)
        if type(value) == "table" then
            for index = 1, #value do
                parts[#parts + 1] = pair(name, value[index], level)
            end
        else
            parts[#parts + 1] = pair(name, value, level)
        end
    end
    local text = concat(parts, "&")
    return text
end
kit.encode_args = encode_args

function ngx.encode_args(args)
    if type(args) ~= "table" then
        error("bad argument #1 to '?' (table expected, got " .. (args == nil and "no value" or type(args)) .. ")", 2)
    end
    return (encode_args(args, 3))
end

function ngx.decode_args(text, max)
    if type(text) ~= "string" then
        error("bad argument #1 to 'decode_args' (string expected, got " .. type(text) .. ")", 2)
    end
    local count = text_arguments(host, text, #text, limit(max))
    local truncated = block.flags ~= 0
    local args = collect(block.pairs, count, {})
    if truncated then
        kit.log(ngx.DEBUG, "lua hit query args limit " .. limit(max))
        return args, "truncated"
    end
    return args
end

local SQL = {
    ["\0"] = "\\0", ["\b"] = "\\b", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\26"] = "\\Z",
    ["\\"] = "\\\\", ["'"] = "\\'", ['"'] = '\\"',
}

-- A literal of MySQL.
function ngx.quote_sql_str(text)
    return "'" .. string.gsub(stringify(text), "[%z\b\n\r\t\26\\'\"]", SQL) .. "'"
end
