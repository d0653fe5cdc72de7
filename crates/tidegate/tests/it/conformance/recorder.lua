-- Records which functions of the list are called, by wrapping each where it is found, and runs the code of cases.
--
-- A wrapper calls last what it wraps, so that errors name the line of whoever called it.

local calls = ngx.shared.calls
local note, keys, flush = calls.set, calls.get_keys, calls.flush_all
local print, at, semaphore = ngx.print, ngx.timer.at, require "ngx.semaphore"
local new, wait, post = semaphore.new, nil, nil
local concat = table.concat

local recorder = {}

local function owner_of(path)
    local owner, last = getfenv(0), path:match "[^.]+$"
    for part in path:gmatch "([^.]+)%." do
        owner = owner[part]
    end
    return owner, last
end

local objects = {}
-- By what wraps it, what the list calls a function.
local listed = {}

local function find(entry)
    if entry.kind == "global" then
        return owner_of(entry.name)
    elseif entry.kind == "object" then
        return objects[entry.owner], entry.name
    elseif entry.name == "()" then
        require(entry.owner)
        return package.loaded, entry.owner
    end
    return require(entry.owner), entry.name
end

function recorder.record()
    local one = new(0)
    objects.semaphore = getmetatable(one).__index
    wait, post = objects.semaphore.wait, objects.semaphore.post
    objects.tcp = getmetatable(ngx.socket.tcp()).__index
    objects.udp = getmetatable(ngx.socket.udp()).__index
    objects.dictionary = getmetatable(calls).__index
    for _, entry in ipairs(require "surface") do
        local owner, name = find(entry)
        local wrapped, full = owner[name], entry.full
        local function recorded(...)
            note(calls, full, true)
            return wrapped(...)
        end
        listed[recorded] = full
        rawset(owner, name, recorded)
    end
end

function recorder.forget()
    flush(calls)
end

function recorder.tell()
    print(concat(keys(calls, 0), "\n"))
end

-- Answers with what the code of a case raises.
function recorder.run(code)
    local ok, why = pcall(code)
    if not ok then
        print(tostring(why))
    end
end

-- The same for code that runs without a request; what it returns is part of the answer, too.
function recorder.in_timer(code)
    local done, told = new(0), nil
    at(0, function()
        local results = { pcall(code) }
        for index = 1, table.maxn(results) do
            results[index] = tostring(results[index])
        end
        table.remove(results, 1)
        told = concat(results, " ")
        post(done)
    end)
    wait(done, 10)
    print(told)
end

local TABLES = { "ngx", "ngx.req", "ngx.resp", "ngx.location", "ngx.re", "ngx.socket", "ngx.thread", "ngx.timer", "ngx.worker",
    "ngx.config", "coroutine" }

-- The functions that are there, by the names that the list has for them.
function recorder.surface()
    local names = {}
    local function add(owner, prefix)
        for name, value in pairs(owner) do
            if type(name) == "string" and type(value) == "function" and name:sub(1, 2) ~= "__" then
                names[#names + 1] = listed[value] or prefix .. name
            end
        end
    end
    for _, path in ipairs(TABLES) do
        local owner, name = owner_of(path)
        add(owner[name], path .. ".")
    end
    local seen = {}
    for _, entry in ipairs(require "surface") do
        local key = entry.kind .. " " .. entry.owner
        if entry.kind ~= "global" and entry.name ~= "()" and not seen[key] then
            seen[key] = true
            local is_module = entry.kind == "module"
            add(is_module and require(entry.owner) or objects[entry.owner], entry.owner .. (is_module and "." or ":"))
        end
    end
    table.sort(names)
    print(concat(names, "\n"))
end

return recorder
