-- Environments for scripts that are not trusted.
--
-- A sandbox has copies of what is harmless in the libraries and in `ngx`, so that nothing it changes is anybody else's, and
-- modules of its own. What would lead out is left out: FFI and the debug library, files and processes, bytecode, the
-- real globals by way of functions' environments, metatables of the host's values, finalizers. Whoever adds to `ngx` a
-- function that reads files or starts anything adds it to `WITHHELD`.
--
-- What a sandbox takes up is bounded by the budgets, as for all scripts.

local kit = ...
local ngx, shared = kit.ngx, kit.ngx.shared

local concat = table.concat
local error, getfenv, ipairs, loadstring, next, pairs, pcall, rawget, rawset, require, setfenv, setmetatable, tostring, type =
    error, getfenv, ipairs, loadstring, next, pairs, pcall, rawget, rawset, require, setfenv, setmetatable, tostring, type
local getmetatable = debug.getmetatable
local count_garbage = collectgarbage
local byte, find, gmatch, gsub, match = string.byte, string.find, string.gmatch, string.gsub, string.match
local package, searchpath = package, package.searchpath
local open = io.open
local function nothing() end

-- Globals that are as they are everywhere.
local PLAIN = {
    "_VERSION", "assert", "error", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawlen",
    "select", "tonumber", "tostring", "type", "unpack", "xpcall",
}
-- Libraries, with what is not in the copy.
local LIBRARIES = {
    bit = {}, coroutine = {}, math = { randomseed = true }, string = { dump = true }, table = {},
}
local WITHHELD = { opt = true, run_worker_thread = true, set_body_file = true }
-- Modules of the host whose functions and values cannot be turned against it.
local MODULES = {}
for name in gmatch("bit cjson cjson.safe ngx.base64 ngx.re ngx.req ngx.resp ngx.semaphore resty.core resty.lrucache "
    .. "resty.lrucache.pureffi resty.random resty.string table.clear table.clone table.isarray table.isempty table.new "
    .. "table.nkeys", "%S+") do
    MODULES[name] = true
end

-- What is said of all others.
local KEY = ": `sandbox: false`, in `lua` or in the route's, is for scripts that may have all"

-- A copy of a table and of those in it; the host's own behaviour stays.
local function copy(value, without, copies)
    if type(value) ~= "table" then
        return value
    end
    if copies[value] then
        return copies[value]
    end
    local own = {}
    copies[value] = own
    for key, item in next, value do
        if not without[key] then
            own[key] = copy(item, without, copies)
        end
    end
    return setmetatable(own, getmetatable(value))
end

-- `ngx.shared`: each dictionary as an object of the sandbox's own, made when it is asked for.
local function dictionaries()
    local own = {}
    return setmetatable({}, {
        __index = function(_, name)
            local dictionary = shared[name]
            if dictionary == nil then
                return nil
            end
            if own[name] == nil or own[name][1] ~= dictionary[1] then
                own[name] = copy(dictionary, {}, {})
            end
            return own[name]
        end,
    })
end

-- The text of a chunk that a reader gives in pieces.
local function pieces(reader)
    local parts = {}
    while true do
        local piece = reader()
        if piece == nil or piece == "" then
            return concat(parts)
        end
        if type(piece) ~= "string" then
            return nil, "reader function must return a string"
        end
        parts[#parts + 1] = piece
    end
end

-- Compiles text. Names that mark the host's own chunks are not to be had.
local function compile(text, name, env)
    if byte(text) == 27 then
        return nil, "attempt to load chunk with wrong mode"
    end
    name = name == nil and text or tostring(name)
    local chunk, wrong = loadstring(text, (gsub(name, "^=", "=sandbox:")))
    if not chunk then
        return nil, wrong
    end
    return setfenv(chunk, env)
end

-- Functions of the language that would lead to what is not the sandbox's. `default` is the environment where the
-- caller has none of the sandbox's.
local function add_language(globals, environment, default)
    local own_metatables = setmetatable({}, { __mode = "k" })
    local own_environments = setmetatable({}, { __mode = "k" })

    local function owned(env)
        return getmetatable(env) == environment or own_environments[env]
    end

    -- Of the function that called the caller, if there is one: it may have been called last by another.
    local function current()
        local ok, env = pcall(getfenv, 4)
        return ok and owned(env) and env or default
    end

    function globals.getmetatable(value)
        local metatable = getmetatable(value)
        if type(value) ~= "table" or not own_metatables[metatable] then
            return nil
        end
        local protected = metatable.__metatable
        if protected ~= nil then
            return protected
        end
        return metatable
    end

    -- Tables whose behaviour is the host's are written to by that alone.
    local function check_own(value)
        local metatable = getmetatable(value)
        if metatable ~= nil and metatable ~= environment and not own_metatables[metatable] then
            error("cannot change a protected table", 3)
        end
    end

    function globals.rawset(table, key, value)
        check_own(table)
        return rawset(table, key, value)
    end

    function globals.setmetatable(value, metatable)
        check_own(value)
        if type(metatable) == "table" then
            own_metatables[metatable] = true
        end
        return setmetatable(value, metatable)
    end

    function globals.getfenv(of)
        if type(of) == "function" then
            local env = getfenv(of)
            return owned(env) and env or default
        end
        local env = current()
        return env
    end

    function globals.setfenv(of, env)
        if type(env) ~= "table" then
            error("bad argument #2 to 'setfenv' (table expected, got " .. type(env) .. ")", 2)
        end
        local target = of == 1 and 2 or of
        if of ~= 1 and type(of) ~= "function" or not owned(getfenv(target)) then
            error("'setfenv' cannot change environment of given object", 2)
        end
        own_environments[env] = true
        local changed = setfenv(target, env)
        return changed
    end

    function globals.loadstring(text, name)
        if type(text) ~= "string" then
            error("bad argument #1 to 'loadstring' (string expected, got " .. type(text) .. ")", 2)
        end
        local env = current()
        return compile(text, name, env)
    end

    function globals.load(text, name, _, env)
        local wrong
        if type(text) == "function" then
            text, wrong = pieces(text)
            if not text then
                return nil, wrong
            end
            name = name == nil and "=(load)" or name
        elseif type(text) ~= "string" then
            error("bad argument #1 to 'load' (function expected, got " .. type(text) .. ")", 2)
        end
        if env == nil then
            env = current()
        elseif type(env) ~= "table" then
            error("bad argument #4 to 'load' (table expected, got " .. type(env) .. ")", 2)
        else
            own_environments[env] = true
        end
        return compile(text, name, env)
    end

    function globals.collectgarbage(what)
        return what == "count" and count_garbage("count") or 0
    end
end

local function read(path)
    local file = open(path, "rb")
    if not file then
        return nil
    end
    local text = file:read("*a")
    file:close()
    return text
end

-- Metatables that mean something to cjson by being these very tables: nobody can change them.
local function fixed_marks()
    local cjson = require "cjson"
    local marks = {}
    for _, name in ipairs { "array_mt", "empty_array_mt" } do
        local mark = cjson[name]
        marks[mark] = mark
        if getmetatable(mark) == nil then
            setmetatable(mark, { __newindex = function()
                error("attempt to change a metatable of cjson", 2)
            end, __metatable = "cjson" })
        end
    end
    return marks
end

-- `require`, with modules that no other sandbox has.
local function add_modules(globals, default)
    local loaded, preload = {}, {}
    local LOADING, fixed = {}, fixed_marks()
    globals.package = { loaded = loaded, preload = preload, path = package.path, config = package.config }

    local function loader(name)
        if type(preload[name]) == "function" then
            return preload[name]
        end
        if MODULES[name] then
            local module = copy(require(name), WITHHELD, fixed)
            return function()
                return module
            end
        end
        if not find(name, "^[%w_%-%.]+$") then
            error("module '" .. name .. "' is not available in a sandbox" .. KEY, 3)
        end
        local path, tried = searchpath(name, package.path)
        if not path then
            error("module '" .. name .. "' not found, or not available in a sandbox" .. KEY .. tried, 3)
        end
        local chunk, wrong = compile(read(path) or "", "@" .. path, default)
        if not chunk then
            error("error loading module '" .. name .. "' from file '" .. path .. "':\n\t" .. tostring(wrong), 3)
        end
        return chunk
    end

    function globals.require(name)
        if type(name) ~= "string" then
            error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2)
        end
        local module = loaded[name]
        if module == LOADING then
            error("loop or previous error loading module '" .. name .. "'", 2)
        elseif module ~= nil then
            return module
        end
        local load = loader(name)
        loaded[name] = LOADING
        module = load(name)
        if module ~= nil then
            loaded[name] = module
        elseif loaded[name] == LOADING then
            loaded[name] = true
        end
        return loaded[name]
    end
end

-- What the scripts of one sandbox see as globals. `environment` is the metatable that environments of its runs will
-- have.
function kit.sandbox(environment)
    local globals = {}
    environment.__index = globals
    local default = setmetatable({}, environment)
    rawset(default, "_G", default)
    for _, name in ipairs(PLAIN) do
        globals[name] = _G[name]
    end
    for name, without in pairs(LIBRARIES) do
        globals[name] = copy(name == "bit" and require "bit" or _G[name], without, {})
    end
    globals.math.randomseed = nothing
    globals.os = { clock = os.clock, date = os.date, difftime = os.difftime, time = os.time }
    if kit.lists_env then
        globals.os.getenv = os.getenv
    end
    globals.jit = { version = jit.version, version_num = jit.version_num, os = jit.os, arch = jit.arch,
        on = nothing, off = nothing, flush = nothing, status = function() return true end }
    globals.ngx = copy(ngx, WITHHELD, { [shared] = dictionaries() })
    add_language(globals, environment, default)
    add_modules(globals, default)
    local loaded = globals.package.loaded
    for name in pairs(LIBRARIES) do
        loaded[name] = globals[name]
    end
    loaded._G, loaded.ngx, loaded.os, loaded.jit, loaded.package = default, globals.ngx, globals.os, globals.jit, globals.package
    return globals
end

-- What every sandbox begins with, made when it is first asked for.
local beginning

-- The library of which a sandbox has all but that function.
local function without(name)
    for _, library in ipairs { "os", "package", "string" } do
        if type(_G[library][name]) == "function" and beginning[library][name] == nil then
            return library
        end
    end
    for library, part in pairs { ngx = ngx, ["ngx.re"] = ngx.re, ["ngx.req"] = ngx.req } do
        if WITHHELD[name] and part[name] ~= nil then
            return library
        end
    end
end

-- What is said further where the message of an error is that something is nil which a sandbox has not.
function kit.missed(message)
    local doing, kind, name = match(message, "attempt to (%a+) (%a+) '([%w_]+)' %(a nil value%)$")
    if not name then
        return ""
    end
    beginning = beginning or kit.sandbox({})
    local is_withheld = beginning[name] == nil and rawget(_G, name) ~= nil
    -- Libraries are often kept in locals of their names.
    if is_withheld and (kind == "global" or kind ~= "field" and type(rawget(_G, name)) == "table") then
        return "; a sandbox has no " .. name .. KEY
    end
    local library = kind == "field" and doing == "call" and without(name)
    if library then
        local key = name == "getenv" and ", unless `lua.env` says what it may see" or KEY
        return "; if that is " .. library .. "." .. name .. ", a sandbox has none" .. key
    end
    return ""
end
