-- ngx.shared.DICT.
--
-- A dictionary is a table with its number in the host, where no table has anything by itself; what it has at 1, where
-- OpenResty's has a pointer, is only to look like that.

local kit = ...
local C = kit.C

local block, host, limit, MISSING = kit.block, kit.host, kit.limit, kit.MISSING
local given, ffi_string = kit.given, require("ffi").string
local new_table = require "table.new"
local error, select, setmetatable, tonumber, tostring, type = error, select, setmetatable, tonumber, tostring, type

local NO_DICTIONARY = -10
local errors = { [MISSING] = "not found", [-11] = "exists", [-12] = "no memory", [-13] = "not a number",
    [-14] = "value not a list" }
local BOOLEAN, NUMBER, STRING, LIST, STALE = 1, 3, 4, 5, 16
local MAX_KEY = 65535
-- How a value is stored: only if the key is absent (1) or present (2), and without dropping others (4).
local SET, ADD, REPLACE, SAFE = 0, 1, 2, 4

local methods = {}
-- Its own index, as in OpenResty, so that libraries which look there find the methods.
methods.__index = methods
local metatable = methods

-- The dictionary of that number, as scripts see it.
function kit.dictionary(number)
    local dictionary = new_table(1, 0)
    dictionary[0], dictionary[1] = number, kit.null
    return setmetatable(dictionary, metatable)
end

local function number_of(dictionary)
    local number = type(dictionary) == "table" and dictionary[0]
    if type(number) ~= "number" then
        error('bad "zone" argument', 3)
    end
    return number
end

-- The key as a string, or nil and what is wrong with it.
local function check(key)
    if type(key) ~= "string" then
        if key == nil then
            return nil, "nil key"
        end
        key = tostring(key)
    end
    if #key == 0 then
        return nil, "empty key"
    end
    if #key > MAX_KEY then
        return nil, "key too long"
    end
    return key
end

local dictionary_get = C.dictionary_get

-- The value that the host found, whose type it answered.
local function value_of(kind)
    if kind == STRING then
        return given()
    elseif kind == NUMBER then
        return block.number
    end
    return block.number ~= 0
end

function methods.get(dictionary, key)
    local number = number_of(dictionary)
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    local kind = dictionary_get(host, number, name, #name, 0)
    if kind == MISSING then
        return nil
    end
    if kind == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    if kind == LIST then
        return nil, "value is a list"
    end
    local flags = block.flags
    if flags ~= 0 then
        return value_of(kind), flags
    end
    return value_of(kind)
end

function methods.get_stale(dictionary, key)
    local number = number_of(dictionary)
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    local kind = dictionary_get(host, number, name, #name, 1)
    if kind == MISSING then
        return nil
    end
    if kind == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    if kind % STALE == LIST then
        return nil, "value is a list"
    end
    local flags, stale = block.flags, kind > STALE
    return value_of(stale and kind - STALE or kind), flags ~= 0 and flags or nil, stale
end

local dictionary_store, dictionary_delete = C.dictionary_store, C.dictionary_delete

-- Called last by its callers, which is why it raises errors at level 2.
local function store(mode, dictionary, key, value, ttl, flags)
    local number = number_of(dictionary)
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    ttl = ttl == nil and 0 or tonumber(ttl)
    if not ttl or not (ttl >= 0) then
        error('bad "exptime" argument', 2)
    end
    flags = flags == nil and 0 or tonumber(flags)
    if not flags then
        error('bad "flags" argument', 2)
    end
    local code
    local kind = type(value)
    if kind == "string" then
        code = dictionary_store(host, number, name, #name, STRING, value, #value, 0, ttl, flags, mode)
    elseif kind == "number" then
        code = dictionary_store(host, number, name, #name, NUMBER, "", 0, value, ttl, flags, mode)
    elseif kind == "boolean" then
        code = dictionary_store(host, number, name, #name, BOOLEAN, "", 0, value and 1 or 0, ttl, flags, mode)
    elseif kind == "nil" then
        if mode ~= SET and mode ~= SAFE then
            return nil, "attempt to add or replace nil values"
        end
        code = dictionary_delete(host, number, name, #name)
        if code == 0 then
            return true, nil, false
        end
    else
        return nil, "bad value type"
    end
    if code == 0 then
        return true, nil, block.flags ~= 0
    end
    if code == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    return false, errors[code], block.flags ~= 0
end

function methods.set(dictionary, key, value, ttl, flags)
    return store(SET, dictionary, key, value, ttl, flags)
end

function methods.safe_set(dictionary, key, value, ttl, flags)
    return store(SET + SAFE, dictionary, key, value, ttl, flags)
end

function methods.add(dictionary, key, value, ttl, flags)
    return store(ADD, dictionary, key, value, ttl, flags)
end

function methods.safe_add(dictionary, key, value, ttl, flags)
    return store(ADD + SAFE, dictionary, key, value, ttl, flags)
end

function methods.replace(dictionary, key, value, ttl, flags)
    return store(REPLACE, dictionary, key, value, ttl, flags)
end

function methods.delete(dictionary, key)
    return store(SET, dictionary, key, nil)
end

local dictionary_incr = C.dictionary_incr

function methods.incr(dictionary, key, by, init, init_ttl)
    local number = number_of(dictionary)
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    if type(by) ~= "number" then
        by = tonumber(by)
            or error('bad "value" argument: number expected, got ' .. type(by) .. " (cannot convert 'nil' to 'double')", 2)
    end
    if init == nil or init == false then
        if init_ttl ~= nil then
            error('must provide "init" when providing "init_ttl"', 2)
        end
        local code = dictionary_incr(host, number, name, #name, by, 0, 0, 0)
        if code == 0 then
            return block.number
        end
        if code == NO_DICTIONARY then
            error('bad "zone" argument', 2)
        end
        return nil, errors[code]
    end
    if type(init) ~= "number" then
        init = tonumber(init) or error("bad init arg: number expected, got " .. type(init), 2)
    end
    if init_ttl == nil then
        init_ttl = 0
    elseif type(init_ttl) ~= "number" then
        init_ttl = tonumber(init_ttl) or error("bad init_ttl arg: number expected, got " .. type(init_ttl), 2)
    end
    if not (init_ttl >= 0) then
        error('bad "init_ttl" argument', 2)
    end
    local code = dictionary_incr(host, number, name, #name, by, 1, init, init_ttl)
    if code == 0 then
        return block.number, nil, block.flags ~= 0
    end
    if code == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    return nil, errors[code]
end

local dictionary_push, dictionary_pop, dictionary_length = C.dictionary_push, C.dictionary_pop, C.dictionary_length

local function check_count(count, wanted)
    if count ~= wanted then
        error("expecting " .. wanted .. " arguments, but only seen " .. count, 3)
    end
end

local function push(left, dictionary, key, value)
    local number = number_of(dictionary)
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    local code
    local kind = type(value)
    if kind == "string" then
        code = dictionary_push(host, number, name, #name, STRING, value, #value, 0, left)
    elseif kind == "number" then
        code = dictionary_push(host, number, name, #name, NUMBER, "", 0, value, left)
    else
        return nil, "bad value type"
    end
    if code == 0 then
        return block.number
    end
    if code == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    return nil, errors[code]
end

function methods.lpush(...)
    check_count(select("#", ...), 3)
    return push(1, ...)
end

function methods.rpush(...)
    check_count(select("#", ...), 3)
    return push(0, ...)
end

local function pop(left, dictionary, key)
    local number = number_of(dictionary)
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    local kind = dictionary_pop(host, number, name, #name, left)
    if kind > 0 then
        return value_of(kind)
    end
    if kind == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    if kind == MISSING then
        return nil
    end
    return nil, errors[kind]
end

function methods.lpop(...)
    check_count(select("#", ...), 2)
    return pop(1, ...)
end

function methods.rpop(...)
    check_count(select("#", ...), 2)
    return pop(0, ...)
end

function methods.llen(...)
    check_count(select("#", ...), 2)
    local dictionary, key = ...
    local number = number_of(dictionary)
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    local code = dictionary_length(host, number, name, #name)
    if code == 0 then
        return block.number
    end
    if code == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    return nil, errors[code]
end

local dictionary_ttl, dictionary_expire = C.dictionary_ttl, C.dictionary_expire

function methods.ttl(dictionary, key)
    local number = number_of(dictionary)
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    local code = dictionary_ttl(host, number, name, #name)
    if code == 0 then
        return block.number
    end
    if code == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    return nil, errors[code]
end

function methods.expire(dictionary, key, ttl)
    local number = number_of(dictionary)
    ttl = tonumber(ttl)
    if not ttl or not (ttl >= 0) then
        error('bad "exptime" argument', 2)
    end
    local name, wrong = check(key)
    if not name then
        return nil, wrong
    end
    local code = dictionary_expire(host, number, name, #name, ttl)
    if code == 0 then
        return true
    end
    if code == NO_DICTIONARY then
        error('bad "zone" argument', 2)
    end
    return nil, errors[code]
end

local dictionary_flush_all, dictionary_flush_expired = C.dictionary_flush_all, C.dictionary_flush_expired

function methods.flush_all(dictionary)
    dictionary_flush_all(host, number_of(dictionary))
end

function methods.flush_expired(dictionary, max)
    local flushed = dictionary_flush_expired(host, number_of(dictionary), limit(max, 0))
    return flushed
end

local dictionary_keys, DEFAULT_KEYS = C.dictionary_keys, 1024

function methods.get_keys(dictionary, max)
    local count = dictionary_keys(host, number_of(dictionary), limit(max, DEFAULT_KEYS))
    local list = block.pairs
    local keys = {}
    for index = 0, count - 1 do
        keys[index + 1] = ffi_string(list[index].name, list[index].name_length)
    end
    return keys
end

local dictionary_capacity, dictionary_free_space = C.dictionary_capacity, C.dictionary_free_space

function methods.capacity(dictionary)
    dictionary_capacity(host, number_of(dictionary))
    return block.number
end

function methods.free_space(dictionary)
    dictionary_free_space(host, number_of(dictionary))
    return block.number
end
