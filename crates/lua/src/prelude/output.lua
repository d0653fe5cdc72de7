-- ngx.print, ngx.say, ngx.flush, ngx.eof, ngx.send_headers.

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
    local text = concat(parts)
    return text
end

local function is_plain(value)
    local kind = type(value)
    return kind == "string" or kind == "number"
end

-- The text of all arguments, as one string that ends with `last`. A few plain ones, which is the rule, take no loop: a
-- loop in a function of any number of arguments is where LuaJIT stops compiling.
local function join(name, last, ...)
    local count = select("#", ...)
    local first, second, third, fourth = ...
    if count == 1 and is_plain(first) then
        return first .. last
    elseif count == 2 and is_plain(first) and is_plain(second) then
        return first .. second .. last
    elseif count == 3 and is_plain(first) and is_plain(second) and is_plain(third) then
        return first .. second .. third .. last
    elseif count == 4 and is_plain(first) and is_plain(second) and is_plain(third) and is_plain(fourth) then
        return first .. second .. third .. fourth .. last
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
    local text = concat(parts)
    return text
end

local answer_end = C.answer_end
local HEADER_ONLY, ENDED, RAW, BUFFERING = 1, 2, 3, 4
local ends = { [HEADER_ONLY] = "header only", [ENDED] = "seen eof", [RAW] = "raw request socket acquired" }

local function waited()
    local ok, why = wait()
    if not ok then
        return nil, why
    end
    return 1
end

local function write(text)
    local end_ = answer_end(host)
    if end_ ~= 0 and end_ ~= BUFFERING then
        return nil, ends[end_]
    end
    if output_write(host, text, #text) == FULL then
        flow_flush(host)
        return waited()
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
function ngx.flush(...)
    if band(block.phase, ANSWERABLE) == 0 then
        disabled(block.phase)
    end
    local count = select("#", ...)
    if count > 1 then
        error("attempt to pass " .. count .. " arguments, but accepted 0 or 1", 2)
    end
    local given = ...
    if count == 1 and type(given) ~= "boolean" then
        error("bad argument #1 to 'flush' (boolean expected, got " .. type(given) .. ")", 2)
    end
    local end_ = answer_end(host)
    if end_ == BUFFERING then
        return nil, "buffering"
    end
    if end_ ~= 0 then
        return nil, ends[end_]
    end
    if not ngx.headers_sent then
        return nil, "nothing to flush"
    end
    flow_flush(host)
    return waited()
end

local flow_eof, flow_send_head = C.flow_eof, C.flow_send_head

function ngx.eof(...)
    if band(block.phase, ANSWERABLE) == 0 then
        disabled(block.phase)
    end
    if select("#", ...) ~= 0 then
        error("no argument is expected", 2)
    end
    local end_ = answer_end(host)
    if end_ == ENDED or end_ == RAW then
        return nil, ends[end_]
    end
    flow_eof(host)
    return waited()
end

function ngx.send_headers()
    if band(block.phase, ANSWERABLE) == 0 then
        disabled(block.phase)
    end
    local end_ = answer_end(host)
    if end_ == RAW then
        return nil, ends[end_]
    end
    if ngx.headers_sent or end_ == BUFFERING then
        return 1
    end
    flow_send_head(host)
    return waited()
end
