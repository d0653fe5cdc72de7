-- Loading scripts, and telling what went wrong in them.

local kit = ...

local block, WARN = kit.block, kit.ngx.WARN
local globals, rawset = _G, rawset
local getfenv, loadstring, setfenv, setmetatable = getfenv, loadstring, setfenv, setmetatable
local pcall, tostring, type = pcall, tostring, type
local byte, find, gsub, match, sub = string.byte, string.find, string.gsub, string.match, string.sub
local band, bor = require("bit").band, require("bit").bor
local getinfo, getmetatable, traceback = debug.getinfo, debug.getmetatable, debug.traceback
local funcbc, funck = require("jit.util").funcbc, require("jit.util").funck

-- A traceback whose outermost function is a script: it is compiled as one, and looks like the chunk that it was.
local function of_chunk(trace)
    return (gsub(trace, "in function <[^<>\n]*>$", "in main chunk"))
end

local function warn_of_global(name)
    kit.log(WARN, "[lua] _G write guard: writing a global Lua variable ('" .. tostring(name) .. "') which may lead to "
        .. "race conditions between concurrent requests, so prefer the use of 'local' variables\n"
        .. of_chunk(traceback("", 3):sub(2)))
end

-- Globals are the worker's, seen by all that is trusted, as in OpenResty. A new one is told, unless it is made by what
-- prepares the worker.
local PREPARES = bor(kit.INIT, kit.INIT_WORKER)
setmetatable(globals, {
    __newindex = function(all, name, value)
        rawset(all, name, value)
        local phase = block.phase
        if phase ~= 0 and band(phase, PREPARES) == 0 and WARN <= block.log_level then
            warn_of_global(name)
        end
    end,
})

-- The metatables of the environments of sandboxed scripts.
local sandboxes = setmetatable({}, { __mode = "k" })

-- The metatable of one sandboxed script's environments. Writes to a global that is not known there are told, once.
local function environment_over(shown)
    local environment = { __index = shown }
    sandboxes[environment] = true
    local told = {}
    function environment.__newindex(own, name, value)
        rawset(own, name, value)
        if WARN <= block.log_level and block.phase ~= 0 and not told[name] and environment.__index[name] == nil then
            told[name] = true
            warn_of_global(name)
        end
    end
    return environment
end

local function new_environment(metatable)
    local own = {}
    own._G = own
    return setmetatable(own, metatable)
end

-- Names of what can write a global without saying so.
local writers = { _G = true, getfenv = true, load = true, loadstring = true, module = true, rawset = true, setfenv = true }
local GSET = band(funcbc(loadstring "x = 1", 2), 0xff)

-- Whether a function, or one in it, may write a global.
local function writes_globals(code)
    local pc = 1
    local instruction = funcbc(code, pc)
    while instruction do
        if band(instruction, 0xff) == GSET then
            return true
        end
        pc = pc + 1
        instruction = funcbc(code, pc)
    end
    local index = -1
    local constant = funck(code, index)
    while constant ~= nil do
        if type(constant) == "proto" and writes_globals(constant) or writers[constant] then
            return true
        end
        index = index - 1
        constant = funck(code, index)
    end
    return false
end

-- The script as a function that begins each run without globals of its own, if it could have left some there.
local function with_globals(chunk, factory, metatable)
    if not writes_globals(chunk) then
        return setfenv(factory, new_environment(metatable))()
    end
    return function()
        setfenv(factory, new_environment(metatable))
        return factory()()
    end
end

-- Compiles a script to a function, or answers nil and why not. What a `computed` one returns is kept; one that is
-- `sandboxed` is not trusted, and has globals of its own.
function kit.load(source, name, purpose, sandboxed)
    if find(source, "^#") then
        -- A line for the shell.
        source = "--" .. source
    end
    if byte(source) == 27 then
        return nil, gsub(name, "^[@=]", "") .. ": bytecode is not accepted"
    end
    local chunk, wrong = loadstring(source, name)
    if not chunk then
        return nil, wrong
    end
    if purpose == "shared" then
        return chunk
    end
    -- LuaJIT does not compile a chunk itself, because it takes any number of arguments; a function
    -- around the same text it does. Only text that uses `...` has to take them.
    local factory = loadstring("return function() " .. source .. "\nend", name)
        or loadstring("return function(...) " .. source .. "\nend", name)
    local script
    if sandboxed then
        local metatable = environment_over(globals)
        kit.sandbox(metatable)
        script = with_globals(chunk, factory, metatable)
    else
        script = factory()
    end
    return purpose == "computed" and kit.computed(script) or script
end

-- LuaJIT keeps the thread alive that used its FFI last. Interpreted, this makes it the caller's instead of one that failed.
local function forget_thread()
    return block.phase
end
jit.off(forget_thread)

-- LuaJIT does not know any more in which line the innermost function was; the message does.
local function with_line(message, trace)
    local chunk, line = match(message, "^([^\n]-):(%d+): ")
    local head = "stack traceback:\n\t" .. (chunk or "") .. ":"
    if chunk and sub(trace, 1, #head + 1) == head .. " " then
        return head .. line .. ":" .. sub(trace, #head + 1)
    end
    return trace
end

-- Whether a sandboxed script is what a thread was running.
local function is_sandboxed(thread)
    local level = 0
    local frame = getinfo(thread, level, "f")
    while frame do
        if sandboxes[getmetatable(getfenv(frame.func))] then
            return true
        end
        level = level + 1
        frame = getinfo(thread, level, "f")
    end
    return false
end

-- The message of an error, whatever was raised, and where the thread was.
function kit.describe(thread, raised)
    forget_thread()
    local message
    if type(raised) == "string" then
        message = raised
    else
        local ok, text = pcall(tostring, raised)
        if type(raised) == "table" and ok and type(text) == "string" and not find(text, "^table: 0x") then
            message = text
        elseif type(raised) == "number" then
            message = tostring(raised)
        elseif raised == nil then
            message = "unknown reason"
        else
            message = "(error object is a " .. type(raised) .. " value)"
        end
    end
    -- Whoever could not wait need not know that it is a function of ours that could not.
    message = gsub(message, "^ngx%.%a+:%d+: (attempt to yield across )", "%1")
    if find(message, " (a nil value)", 1, true) and is_sandboxed(thread) then
        message = message .. kit.missed(message)
    end
    return message, with_line(message, of_chunk(sub(kit.trace(thread, raised, traceback), 2)))
end
