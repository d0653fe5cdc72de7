-- ngx.arg: the arguments of a variable that Lua computes, and the piece of a body that a filter sees.

local kit = ...
local C = kit.C

local block, host, given, disabled = kit.block, kit.host, kit.given, kit.disabled
local argument_get, argument_result = C.argument_get, C.argument_result
local piece_get, piece_set, piece_is_last, piece_set_last = C.piece_get, C.piece_set, C.piece_is_last, C.piece_set_last
local error, setmetatable, tonumber, tostring, type = error, setmetatable, tonumber, tostring, type

local SET, BODY_FILTER = kit.SET, kit.BODY_FILTER

local function argument(index)
    local number = tonumber(index)
    if not number then
        error("bad argument #1 to '?' (number expected, got " .. type(index) .. ")", 3)
    end
    if number >= 1 and number < 2 ^ 31 and argument_get(host, number) == 0 then
        return given()
    end
    return nil
end

local function get(_, index)
    local phase = block.phase
    if phase == SET then
        return argument(index)
    end
    if phase ~= BODY_FILTER then
        disabled(phase)
    end
    if index == 1 then
        piece_get(host)
        return given()
    end
    if index == 2 then
        return piece_is_last(host) == 1
    end
    error("bad index: " .. tostring(index), 2)
end

-- Nothing is passed on for nil, as for an empty text.
local function set_piece(value)
    local kind = type(value)
    local text
    if kind == "string" then
        text = value
    elseif kind == "number" then
        text = tostring(value)
    elseif kind == "nil" then
        text = ""
    elseif kind == "table" then
        local wrong
        text, wrong = kit.flatten(value)
        if wrong then
            error("bad argument #3 to '?' (" .. wrong .. ")", 3)
        end
    else
        error("bad chunk data type: " .. kind, 3)
    end
    piece_set(host, text, #text)
end

local function set(_, index, value)
    local phase = block.phase
    if phase ~= BODY_FILTER then
        disabled(phase)
    end
    if index == 1 then
        set_piece(value)
    elseif index == 2 then
        piece_set_last(host, value and 1 or 0)
    else
        error("bad index: " .. tostring(index), 2)
    end
end

kit.ngx.arg = setmetatable({}, { __index = get, __newindex = set })

-- Keeps what a script that computes a variable returns.
local function keep(value)
    local kind = type(value)
    if kind == "string" or kind == "number" then
        local text = tostring(value)
        argument_result(host, text, #text)
    end
end

-- The script as one whose first result is kept.
function kit.computed(chunk)
    return function()
        keep(chunk())
    end
end
