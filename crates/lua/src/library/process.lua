-- ngx.process: what kind of process this is. Workers are threads of one process.

local kit = ...
local ngx = kit.ngx
local type = type

local module = { version = "0.1.31" }

function module.type()
    return ngx.get_phase() == "init" and "master" or "worker"
end

function module.get_master_pid()
    return kit.process_id
end

function module.enable_privileged_agent(connections)
    if ngx.get_phase() ~= "init" then
        return nil, "API disabled in the current context"
    end
    if connections ~= nil and (type(connections) ~= "number" or not (connections >= 0)) then
        return nil, "bad 'connections' argument: number expected and greater than 0"
    end
    return nil, "there is no privileged agent: workers are threads of one process"
end

function module.signal_graceful_exit()
    return nil, "a worker does not end by itself: send SIGTERM to the process"
end

return module
