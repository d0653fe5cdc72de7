-- ngx.pipe: processes, and their standard streams.

local kit = ...
local C, host, block, ngx = kit.C, kit.host, kit.block, kit.ngx

local spawn, pid, set_timeout = C.pipe_spawn, C.pipe_pid, C.pipe_set_timeout
local pipe_read, read_on, give_up = C.pipe_read, C.pipe_read_on, C.pipe_give_up
local pipe_write, write_on, close = C.pipe_write, C.pipe_write_on, C.pipe_close
local pipe_wait, status, pipe_kill = C.pipe_wait, C.pipe_status, C.pipe_kill
local release, reason_given = C.socket_release, C.socket_reason
local given, wait, disabled, YIELDABLE = kit.given, kit.wait, kit.disabled, kit.YIELDABLE
local MISSING = kit.MISSING
local OK, WAIT, CLOSED, BUSY = 0, 1, 3, 4
local INPUT, OUTPUT, ERROR, EXIT = 0, 1, 2, 3
local LINE, ALL, EXACTLY, ANY = 0, 1, 2, 3
local LONGEST = 2 ^ 32 - 1
local band = require("bit").band
local ffi = require "ffi"
local concat, error, find, floor, ipairs = table.concat, error, string.find, math.floor, ipairs
local match = string.match
local tonumber, tostring, type = tonumber, tostring, type

local function reason()
    reason_given(host)
    return given()
end

-- Raises unless whoever calls may wait.
local function may_wait()
    local phase = block.phase
    if band(phase, YIELDABLE) == 0 then
        disabled(phase)
    end
end

local methods = {}
local new_handle

-- The number of a process; to be called by the method that a script called.
local function number_of(process)
    if not ffi.istype(new_handle, process) then
        error("not a process instance", 3)
    end
    return process.number
end

-- The process waits no longer than that, by what the time is for: milliseconds, 0 for ever, nil as it was.
local function limit(number, which, milliseconds, name)
    if milliseconds == nil then
        return
    end
    local span = tonumber(milliseconds)
    if not span or span < 0 or span > LONGEST then
        error("bad " .. name .. " option", 3)
    end
    set_timeout(host, number, which, floor(span))
end

function methods.set_timeouts(process, write, output, errors, exit)
    local number = number_of(process)
    limit(number, INPUT, write, "write_timeout")
    limit(number, OUTPUT, output, "stdout_read_timeout")
    limit(number, ERROR, errors, "stderr_read_timeout")
    limit(number, EXIT, exit, "wait_timeout")
end

function methods.pid(process)
    return pid(host, number_of(process))
end

-- Processes whose end has been told, by their numbers, where all is to be as in OpenResty: their streams are closed then.
local ended = kit.strict and {}

local function read(number, which, kind, size)
    may_wait()
    if ended and ended[number] then
        return nil, "closed"
    end
    local code = pipe_read(host, number, which, kind, size)
    while code == WAIT do
        local ok, why = wait()
        if not ok then
            give_up(host, number, which)
            return nil, why, given()
        end
        code = read_on(host, number, which)
    end
    if code == OK then
        return given()
    elseif code == CLOSED then
        return nil, "closed"
    elseif code == MISSING then
        return nil, "merged to stdout"
    elseif code == BUSY then
        return nil, "pipe busy reading"
    end
    local partial = given()
    return nil, reason(), partial
end

for name, which in pairs({ stdout = OUTPUT, stderr = ERROR }) do
    methods[name .. "_read_all"] = function(process)
        return read(number_of(process), which, ALL, 0)
    end

    methods[name .. "_read_line"] = function(process)
        return read(number_of(process), which, LINE, 0)
    end

    methods[name .. "_read_bytes"] = function(process, length)
        local number = number_of(process)
        length = tonumber(length)
        if not length or length < 0 then
            error("bad len argument", 2)
        end
        if length == 0 then
            return ""
        end
        return read(number, which, EXACTLY, floor(length))
    end

    methods[name .. "_read_any"] = function(process, most)
        local number = number_of(process)
        most = tonumber(most)
        if not most or most <= 0 then
            error("bad max argument", 2)
        end
        return read(number, which, ANY, floor(most))
    end
end

function methods.write(process, data)
    local number = number_of(process)
    if type(data) == "table" then
        data = concat(data)
    elseif type(data) == "number" then
        data = tostring(data)
    elseif type(data) ~= "string" then
        error("bad data arg: string, number, or table expected, got " .. type(data), 2)
    end
    may_wait()
    local code = pipe_write(host, number, data, #data)
    while code == WAIT do
        local ok, why = wait()
        if not ok then
            return nil, why
        end
        code = write_on(host, number)
    end
    if code == OK then
        return #data
    elseif code == CLOSED then
        return nil, "closed"
    end
    return nil, reason()
end

local streams = { stdin = INPUT, stdout = OUTPUT, stderr = ERROR }

function methods.shutdown(process, direction)
    local number = number_of(process)
    local which = streams[direction] or error("bad shutdown arg: " .. tostring(direction), 2)
    local code = close(host, number, which)
    if code == OK then
        return true
    end
    return nil, code == CLOSED and "closed" or "merged to stdout"
end

function methods.wait(process)
    local number = number_of(process)
    may_wait()
    local code = pipe_wait(host, number)
    if code == WAIT then
        local ok, why = wait()
        if not ok then
            return nil, why
        end
    elseif code ~= OK then
        return nil, reason()
    end
    local outcome = status(host, number)
    if ended then
        ended[number] = true
    end
    if outcome < 0 then
        return false, "signal", -outcome
    end
    return outcome == 0, "exit", outcome
end

function methods.kill(process, signal)
    local number = number_of(process)
    if type(signal) ~= "number" then
        error("bad signal arg: number expected, got " .. tostring(signal), 2)
    end
    if pipe_kill(host, number, signal) == OK then
        return true
    end
    return nil, reason()
end

ffi.cdef "struct tidegate_process { int32_t number; };"
new_handle = ffi.metatype("struct tidegate_process", {
    __index = methods,
    -- Kills it, if it still runs.
    __gc = function(process)
        release(host, process.number)
    end,
})

-- Texts, each with a NUL at its end.
local function list(texts, what)
    local parts = {}
    for index, text in ipairs(texts) do
        text = tostring(text)
        if find(text, "\0", 1, true) then
            error("bad " .. what .. " arg: there is a NUL in value " .. index, 3)
        end
        parts[index] = text .. "\0"
    end
    return concat(parts)
end

local function check_environment(entries)
    if type(entries) ~= "table" then
        error("bad environ option: table expected, got " .. type(entries), 3)
    end
    for index, entry in ipairs(entries) do
        if type(entry) ~= "string" then
            error("bad value at index " .. index .. " of environ option: string expected, got " .. type(entry), 3)
        end
        if not find(entry, "=", 2, true) then
            error("bad value at index " .. index .. " of environ option: 'name=[value]' format expected, got '"
                .. entry .. "'", 3)
        end
    end
    return entries
end

-- In OpenResty the process that is to become the program is there before anybody knows that it cannot: it fails.
local function spawn_failure(program, why)
    local text, number = match(why, ": (.-) %(os error (%d+)%)$")
    if not ended or not text then
        return MISSING
    end
    kit.log(ngx.EMERG, "lua pipe child execvp() failed while executing " .. program .. " (" .. number .. ": " .. text .. ")")
    local fails = list({ "/bin/sh", "-c", "exit 1" }, "args")
    return (spawn(host, fails, #fails, "", 0, 0))
end

local module = { version = "0.1.31" }
local none = {}

function module.spawn(arguments, options)
    if ngx.get_phase() == "init" then
        error("API disabled in the current context", 2)
    end
    if type(arguments) == "string" then
        arguments = { "/bin/sh", "-c", arguments }
    elseif type(arguments) ~= "table" then
        error("bad args arg: table expected, got " .. type(arguments), 2)
    elseif arguments[1] == nil then
        error("bad args arg: non-empty table expected", 2)
    end
    options = options or none
    local size = options.buffer_size
    -- Buffers grow as it is needed, so that it only has to make sense.
    if size ~= nil and (tonumber(size) or 0) < 1 then
        error("bad buffer_size option", 2)
    end
    local environment = list(check_environment(options.environ or none), "environ")
    local program = tostring(arguments[1])
    arguments = list(arguments, "args")
    local number = spawn(host, arguments, #arguments, environment, #environment, options.merge_stderr and 1 or 0)
    if number == MISSING then
        local why = reason()
        number = spawn_failure(program, why)
        if number == MISSING then
            return nil, why
        end
    end
    if ended then
        ended[number] = nil
    end
    local process = new_handle(number)
    limit(number, INPUT, options.write_timeout or 10000, "write_timeout")
    limit(number, OUTPUT, options.stdout_read_timeout or 10000, "stdout_read_timeout")
    limit(number, ERROR, options.stderr_read_timeout or 10000, "stderr_read_timeout")
    limit(number, EXIT, options.wait_timeout or 10000, "wait_timeout")
    return process
end

return module
