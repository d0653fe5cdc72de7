-- The modules that OpenResty's LuaJIT adds to the library of tables.

local preload = package.preload
local error, next, pairs, type = error, next, pairs, type

local function check(table, name)
    if type(table) ~= "table" then
        error("bad argument #1 to '" .. name .. "' (table expected, got " .. type(table) .. ")", 3)
    end
end

local function isempty(table)
    check(table, "isempty")
    return next(table) == nil
end

local function nkeys(table)
    check(table, "nkeys")
    local count = 0
    for _ in pairs(table) do
        count = count + 1
    end
    return count
end

-- Whether all keys are positive integers.
local function isarray(table)
    check(table, "isarray")
    for key in next, table do
        if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
            return false
        end
    end
    return true
end

-- A copy that shares the values.
local function clone(table)
    check(table, "clone")
    local copy = {}
    for key, value in next, table do
        copy[key] = value
    end
    return copy
end

for name, loaded in pairs { isempty = isempty, nkeys = nkeys, isarray = isarray, clone = clone } do
    preload["table." .. name] = function()
        return loaded
    end
end
