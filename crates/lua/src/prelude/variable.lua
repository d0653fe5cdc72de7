-- ngx.var.

local kit = ...

local host, given, MISSING, NO_REQUEST = kit.host, kit.given, kit.MISSING, kit.NO_REQUEST
local variable_get, variable_set = kit.C.variable_get, kit.C.variable_set
local error, tonumber, tostring, type = error, tonumber, tostring, type
local match = string.match

local function get(_, name)
    if type(name) ~= "string" then
        -- A number asks for a capture of the route's regular expression.
        if type(name) ~= "number" then
            error("bad variable name", 2)
        end
        name = tostring(name)
    end
    local code = variable_get(host, name, #name)
    if code == 0 then
        return given()
    end
    if code == NO_REQUEST then
        error("no request found", 2)
    end
    return nil
end

-- What the configuration defines can be changed, what the request itself defines cannot. Nil is an empty text.
local function set(_, name, value)
    if type(name) ~= "string" then
        error("bad variable name", 2)
    end
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" and kind ~= "nil" then
        error("bad value type: string, number, or nil expected", 2)
    end
    local text = value == nil and "" or tostring(value)
    local code = variable_set(host, name, #name, text, #text)
    if code == 0 then
        return
    end
    if code == NO_REQUEST then
        error("no request found", 2)
    end
    -- Names that only begin like one that is known are none of their own.
    if match(name, "^arg_") or match(name, "^cookie_") or variable_get(host, name, #name) == MISSING then
        error('variable "' .. name .. '" not found for writing; maybe it is a built-in variable that is not changeable or '
            .. 'you forgot to use "set $' .. name .. " '';\" in the config file to define it first", 2)
    end
    error('variable "' .. name .. '" not changeable', 2)
end

kit.ngx.var = setmetatable({}, { __index = get, __newindex = set })

-- What requests are asked for that is a variable as well.
local req = kit.ngx.req

function req.http_version()
    local protocol = get(nil, "server_protocol")
    return tonumber(protocol and match(protocol, "^HTTP/(%d%.%d)$"))
end

function req.start_time()
    return tonumber(get(nil, "msec"))
end
