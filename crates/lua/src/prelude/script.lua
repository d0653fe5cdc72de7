-- Loading scripts, and telling what went wrong in them.

local kit = ...

local block, WARN = kit.block, kit.ngx.WARN
local globals, rawset = _G, rawset
local loadstring, setfenv, setmetatable, tostring, type, pcall = loadstring, setfenv, setmetatable, tostring, type, pcall
local byte, find, gsub, sub = string.byte, string.find, string.gsub, string.sub
local traceback = debug.traceback

-- A traceback whose outermost function is a script: it is compiled as one, and looks like the chunk that it was.
local function of_chunk(trace)
    return (gsub(trace, "in function <[^<>\n]*>$", "in main chunk"))
end

local environment = { __index = globals }

function environment.__newindex(own, name, value)
    rawset(own, name, value)
    if WARN <= block.log_level and block.phase ~= 0 and globals[name] == nil then
        kit.log(WARN, "[lua] _G write guard: writing a global Lua variable ('" .. tostring(name) .. "') which may lead to race "
            .. "conditions between concurrent requests, so prefer the use of 'local' variables\n"
            .. of_chunk(traceback("", 2):sub(2)))
    end
end

-- Compiles a script to a function with globals of its own, or answers nil and why not. What a `computed` one returns is
-- kept; one that `shares` has the globals of modules.
function kit.load(source, name, computed, shares)
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
    if shares then
        return chunk
    end
    local own = setmetatable({}, environment)
    rawset(own, "_G", own)
    -- LuaJIT does not compile a chunk itself, because it takes any number of arguments; a function
    -- around the same text it does. Only text that uses `...` has to stay a chunk.
    local factory = loadstring("return function() " .. source .. "\nend", name)
    if factory then
        chunk = setfenv(factory, own)()
    end
    setfenv(chunk, own)
    return computed and kit.computed(chunk) or chunk
end

-- The message of an error, whatever was raised, and where the thread was.
function kit.describe(thread, raised)
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
    return message, of_chunk(sub(kit.trace(thread, raised, traceback), 2))
end
