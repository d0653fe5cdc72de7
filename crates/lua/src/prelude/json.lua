-- cjson and cjson.safe: the module around the host's encoder and decoder.

local kit = ...

local json = kit.json
local config_set, new_config = json.set, json.config
local error, floor, select, tonumber, type = error, math.floor, select, tonumber, type

-- Metatables that say what an empty table is; the same for all instances.
local array_mt, empty_array_mt = {}, {}
local MAX_INTEGER = 2147483647

-- The settings of the host, by its numbers.
local SPARSE_CONVERT, SPARSE_RATIO, SPARSE_SAFE, ENCODE_DEPTH, DECODE_DEPTH, ENCODE_INVALID = 0, 1, 2, 3, 4, 5
local DECODE_INVALID, PRECISION, EMPTY_AS_OBJECT, ARRAY_METATABLE, ESCAPE_SLASH, SKIP_UNSUPPORTED = 6, 7, 8, 9, 10, 11

local function bad_argument(name, position, why)
    error("bad argument #" .. position .. " to '" .. name .. "' (" .. why .. ")", 4)
end

-- The readers of settings: each checks an argument, and answers it for Lua and for the host.
local function switch(value, name, position)
    if type(value) == "boolean" then
        return value, value and 1 or 0
    elseif value == "on" or value == "off" then
        return value == "on", value == "on" and 1 or 0
    elseif type(value) ~= "string" then
        bad_argument(name, position, "string expected, got " .. type(value))
    end
    bad_argument(name, position, "invalid option '" .. value .. "'")
end

local function switch_or_null(value, name, position)
    if value == "null" then
        return "null", 2
    end
    return switch(value, name, position)
end

local function integer(least, most)
    return function(value, name, position)
        local number = tonumber(value)
        if not number then
            bad_argument(name, position, "number expected, got " .. type(value))
        end
        number = floor(number)
        if number < least or number > most then
            bad_argument(name, position, "expected integer between " .. least .. " and " .. most)
        end
        return number, number
    end
end

local function new(safe)
    local config = new_config()
    local module = {
        _NAME = "cjson",
        _VERSION = "2.1.0.14",
        null = kit.null,
        empty_array = json.empty_array,
        array_mt = array_mt,
        empty_array_mt = empty_array_mt,
        encode = json.encoder(config, safe, array_mt, empty_array_mt),
        decode = json.decoder(config, safe, array_mt, empty_array_mt),
    }

    -- Makes a function that reads a setting, and changes it if it has an argument.
    local function setting(name, number, value, read)
        module[name] = function(...)
            if select("#", ...) > 1 then
                error("bad argument #2 to '" .. name .. "' (found too many arguments)", 2)
            end
            local wanted = ...
            if wanted ~= nil then
                local told
                value, told = read(wanted, name, 1)
                if number then
                    config_set(config, number, told)
                end
            end
            return value
        end
    end

    setting("encode_max_depth", ENCODE_DEPTH, 1000, integer(1, MAX_INTEGER))
    setting("decode_max_depth", DECODE_DEPTH, 1000, integer(1, MAX_INTEGER))
    setting("encode_number_precision", PRECISION, 14, integer(1, 16))
    -- The buffer is always kept.
    setting("encode_keep_buffer", nil, true, switch)
    setting("encode_invalid_numbers", ENCODE_INVALID, false, switch_or_null)
    setting("decode_invalid_numbers", DECODE_INVALID, true, switch)
    setting("encode_empty_table_as_object", EMPTY_AS_OBJECT, true, switch)
    setting("decode_array_with_array_mt", ARRAY_METATABLE, false, switch)
    setting("encode_escape_forward_slash", ESCAPE_SLASH, true, switch)
    setting("encode_skip_unsupported_value_types", SKIP_UNSUPPORTED, false, switch)

    local convert, ratio, least = false, 2, 10
    local count = integer(0, MAX_INTEGER)
    function module.encode_sparse_array(new_convert, new_ratio, new_least)
        local name = "encode_sparse_array"
        local told
        if new_convert ~= nil then
            convert, told = switch(new_convert, name, 1)
            config_set(config, SPARSE_CONVERT, told)
        end
        if new_ratio ~= nil then
            ratio = count(new_ratio, name, 2)
            config_set(config, SPARSE_RATIO, ratio)
        end
        if new_least ~= nil then
            least = count(new_least, name, 3)
            config_set(config, SPARSE_SAFE, least)
        end
        return convert, ratio, least
    end

    function module.new()
        return new(safe)
    end

    return module
end

function package.preload.cjson()
    return new(false)
end

package.preload["cjson.safe"] = function()
    return new(true)
end
