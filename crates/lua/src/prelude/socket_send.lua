-- Sending into a stream socket.

local kit = ...
local C, host, wait, methods = kit.C, kit.host, kit.wait, kit.tcp_methods
local bad_argument, closed, failure, log_error = kit.bad_argument, kit.socket_closed, kit.socket_failure, kit.log_socket_error
local number_of, type_name = kit.socket_number, kit.type_name
local concat, floor = table.concat, math.floor
local error, next, select, tostring, type = error, next, select, tostring, type

local OK, WAIT, CLOSED = 0, 1, 3

local tcp_send, tcp_send_on, tcp_give_up_sending = C.tcp_send, C.tcp_send_on, C.tcp_give_up_sending

-- Puts the texts in an array, and in arrays in it, into `parts`. Answers what is wrong, if anything is.
local function flatten(values, parts, count)
    local length = 0
    for key in next, values do
        if type(key) ~= "number" or key < 1 or floor(key) ~= key then
            return nil, "non-array table found"
        end
        if key > length then
            length = key
        end
    end
    for index = 1, length do
        local value = values[index]
        local kind = type(value)
        if kind == "string" or kind == "number" then
            count = count + 1
            parts[count] = value
        elseif kind == "table" then
            local wrong
            count, wrong = flatten(value, parts, count)
            if not count then
                return nil, wrong
            end
        else
            return nil, "bad data type " .. (kind == "nil" and "nil" or kind) .. " found"
        end
    end
    return count
end

-- What is to be sent, as text; or nil and what is wrong with it.
local function text_of(data)
    local kind = type(data)
    if kind == "string" then
        return data
    elseif kind == "table" then
        local parts = {}
        local count, wrong = flatten(data, parts, 0)
        if not count then
            return nil, wrong
        end
        local text = concat(parts, "", 1, count)
        return text
    elseif kind == "number" or kind == "boolean" or kind == "nil" then
        return tostring(data)
    end
    return nil, "string, number, boolean, nil, or array table expected, got " .. kind
end
kit.sendable_text = text_of

-- Waits until what did not leave at once has left: the code, or false and why not.
local function wait_to_send(number)
    local code
    repeat
        local ok, why = wait()
        if not ok then
            tcp_give_up_sending(host, number)
            if why == "timeout" then
                log_error("lua tcp socket write timed out")
            end
            return false, why
        end
        code = tcp_send_on(host, number)
    until code ~= WAIT
    return code
end

function methods.send(socket, ...)
    if select("#", ...) ~= 1 then
        error("expecting 2 arguments (including the object), but got " .. select("#", ...) + (socket ~= nil and 1 or 0), 2)
    end
    if type(socket) ~= "table" then
        bad_argument(1, "table expected, got " .. type_name(socket))
    end
    local number = number_of(socket)
    if not number then
        return closed(number, "send")
    end
    local text = ...
    if type(text) ~= "string" then
        local wrong
        text, wrong = text_of(text)
        if not text then
            bad_argument(2, wrong)
        end
    end
    local length = #text
    local code = tcp_send(host, number, text, length)
    if code == WAIT then
        local why
        code, why = wait_to_send(number)
        if not code then
            return nil, why
        end
    end
    if code == OK then
        return length
    elseif code == CLOSED then
        return closed(number, "send")
    end
    return failure(code)
end
