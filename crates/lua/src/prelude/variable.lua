-- ngx.var.

local kit = ...

local host, given, MISSING, NO_REQUEST = kit.host, kit.given, kit.MISSING, kit.NO_REQUEST
local C = kit.C
local variable_get, variable_set, variable_unset = C.variable_get, C.variable_set, C.variable_unset
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
        error(kit.current_text(), 2)
    end
    return nil
end

-- What the configuration defines can be changed, what the request itself defines cannot. Nil takes the value away.
local function set(_, name, value)
    if type(name) ~= "string" then
        error("bad variable name", 2)
    end
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" and kind ~= "nil" then
        error("bad value type: string, number, or nil expected", 2)
    end
    local code
    if value == nil then
        code = variable_unset(host, name, #name)
    else
        local text = tostring(value)
        code = variable_set(host, name, #name, text, #text)
    end
    if code == 0 then
        return
    end
    if code == NO_REQUEST then
        error(kit.current_text(), 2)
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

local function of_request(name)
    local code = variable_get(host, name, #name)
    if code == NO_REQUEST then
        error(kit.current_text(), 3)
    end
    return code == 0 and given() or nil
end

function req.http_version()
    local protocol = of_request "server_protocol"
    return tonumber(protocol and match(protocol, "^HTTP/(%d%.%d)$"))
end

function req.start_time()
    return tonumber((of_request "request_started"))
end
