-- ngx.var.

local kit = ...

local host, given, MISSING, NO_REQUEST = kit.host, kit.given, kit.MISSING, kit.NO_REQUEST
local variable_get = kit.C.variable_get
local error, type = error, type

local function get(_, name)
    if type(name) ~= "string" then
        -- A number asks for a capture of the route's regular expression; the host has none.
        if type(name) == "number" then
            return nil
        end
        error("bad variable name", 2)
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

-- What the request itself defines is not changeable, and nothing else is defined.
local function set(_, name)
    if type(name) ~= "string" then
        error("bad variable name", 2)
    end
    local code = variable_get(host, name, #name)
    if code == NO_REQUEST then
        error("no request found", 2)
    end
    if code == MISSING then
        error('variable "' .. name .. '" not found for writing; maybe it is a built-in variable that is not changeable '
            .. "or it has to be defined in the configuration first", 2)
    end
    error('variable "' .. name .. '" not changeable', 2)
end

kit.ngx.var = setmetatable({}, { __index = get, __newindex = set })
