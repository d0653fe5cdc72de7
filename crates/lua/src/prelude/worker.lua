-- ngx.worker and ngx.config.

local kit, id, count, pid, prefix, enrolled = ...
local worker, config = kit.ngx.worker, kit.ngx.config
local block = kit.block

function worker.id()
    return id
end

function worker.count()
    return count
end

function worker.pid()
    return pid
end

-- One for each worker, which is a thread of the process; the process stands for those that have not begun yet.
function worker.pids()
    local others, pids = enrolled(), {}
    for index = 0, count - 1 do
        pids[index + 1] = index == id and pid or others[index] or kit.process_id
    end
    return pids
end

function worker.exiting()
    return block.exiting ~= 0
end

-- Whether a script of the command line is what runs.
kit.ngx.IS_CLI = false

config.subsystem = "http"
config.debug = false
-- The versions whose behaviour is meant; libraries test for features with them.
config.nginx_version = 1027001
config.ngx_lua_version = 10028

function config.prefix()
    return prefix
end

function config.nginx_configure()
    return "--with-tidegate"
end

-- LuaJIT's own modules for watching the compiler are files that may not be installed. Code that turns them on then
-- runs, and nothing is watched.
local function nothing() end
local watchers = { ["jit.v"] = true, ["jit.dump"] = true }

table.insert(package.loaders, function(name)
    if not watchers[name] then
        return nil
    end
    return function()
        return { on = nothing, off = nothing, start = nothing }
    end
end)
