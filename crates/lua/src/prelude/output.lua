-- ngx.print and ngx.say.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, wait, disabled = kit.block, kit.host, kit.wait, kit.disabled
local output_write, flow_flush = C.output_write, C.flow_flush
local band = require("bit").band
local concat, format, floor = table.concat, string.format, math.floor
local error, next, select, tostring, type = error, next, select, tostring, type

local ANSWERABLE = kit.ANSWERABLE
local FULL = 1

-- The length of an array that may have holes; nil if it is none.
local function array_length(values)
    local length = 0
    for key in next, values do
        if type(key) ~= "number" or key < 1 or floor(key) ~= key then
            return nil
        end
        if key > length then
            length = key
        end
    end
    return length
end

-- Appends the text of `value` to `parts`; an array is its elements. Answers what is wrong, if anything is.
local function append(parts, value)
    local kind = type(value)
    if kind == "string" or kind == "number" then
        parts[#parts + 1] = value
    elseif kind == "nil" or kind == "boolean" then
        parts[#parts + 1] = tostring(value)
    elseif value == ngx.null then
        parts[#parts + 1] = "null"
    elseif kind == "table" then
        local length = array_length(value)
        if not length then
            return "non-array table found"
        end
        for index = 1, length do
            local wrong = append(parts, value[index])
            if wrong then
                return wrong == "type" and "bad data type " .. type(value[index]) .. " found" or wrong
            end
        end
    else
        return "type"
    end
end

-- The text of an array of texts, numbers, and arrays of these; or nil and what is wrong with it.
local function append_plain(parts, value)
    local kind = type(value)
    if kind == "string" or kind == "number" then
        parts[#parts + 1] = value
    elseif kind ~= "table" then
        return "bad data type " .. kind .. " found"
    else
        local length = array_length(value)
        if not length then
            return "non-array table found"
        end
        for index = 1, length do
            local wrong = append_plain(parts, value[index])
            if wrong then
                return wrong
            end
        end
    end
end

function kit.flatten(values)
    local parts = {}
    local wrong = append_plain(parts, values)
    if wrong then
        return nil, wrong
    end
    return concat(parts)
end

-- The text of all arguments, as one string that ends with `last`.
local function join(name, last, ...)
    local count = select("#", ...)
    if count == 1 then
        local only = ...
        if type(only) == "string" or type(only) == "number" then
            return only .. last
        end
    end
    local parts = {}
    for index = 1, count do
        local value = select(index, ...)
        local wrong = append(parts, value)
        if wrong then
            if wrong == "type" then
                wrong = "string, number, boolean, nil, ngx.null, or array table expected, but got " .. type(value)
            end
            error(format("bad argument #%d to '%s' (%s)", index, name, wrong), 3)
        end
    end
    parts[#parts + 1] = last
    return concat(parts)
end

local function flush()
    flow_flush(host)
    local ok, why = wait()
    if not ok then
        return nil, why
    end
    return 1
end

local function write(text)
    if output_write(host, text, #text) == FULL then
        return flush()
    end
    return 1
end

function ngx.print(...)
    if band(block.phase, ANSWERABLE) == 0 then
        disabled(block.phase)
    end
    return write(join("print", "", ...))
end

function ngx.say(...)
    if band(block.phase, ANSWERABLE) == 0 then
        disabled(block.phase)
    end
    return write(join("say", "\n", ...))
end

-- What was written goes out. Whether asked to or not, it waits until there is room for more.
function ngx.flush()
    if band(block.phase, ANSWERABLE) == 0 then
        disabled(block.phase)
    end
    return flush()
end
