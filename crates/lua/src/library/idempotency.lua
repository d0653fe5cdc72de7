-- tidegate.idempotency: do something once for each key, however often a message is delivered.
--
-- In Redis, so for all instances: a key is taken with a lease while the function runs and says `done` after it. Whoever
-- dies meanwhile leaves a lease that ends. In a shared dictionary, for the instances that share it: the same.

local kit = ...
local ngx = kit.ngx

local concat, error, pcall, setmetatable, tonumber, tostring, type =
    table.concat, error, pcall, setmetatable, tonumber, tostring, type

local module = {}
local guard = {}
guard.__index = guard

local LEASE, KEEP = 60, 86400
local POOL, IDLE = 16, 30000
local sequence = 0

local function words(...)
    local list = { ... }
    local out = { "*" .. #list .. "\r\n" }
    for index = 1, #list do
        local word = tostring(list[index])
        out[#out + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n"
    end
    return concat(out)
end

-- One command: its answer, false for nothing; or nil and an error.
local function ask(socket, ...)
    local sent, why = socket:send(words(...))
    if not sent then
        return nil, why
    end
    local line
    line, why = socket:receive("*l")
    if not line then
        return nil, why
    end
    local kind, rest = line:sub(1, 1), line:sub(2)
    if kind == "-" then
        return nil, rest
    elseif kind == "$" then
        local length = tonumber(rest)
        if length < 0 then
            return false
        end
        line, why = socket:receive(length + 2)
        return line and line:sub(1, -3), why
    end
    return rest
end

local function with_redis(self, run)
    local redis = self.redis
    local socket = ngx.socket.tcp()
    socket:settimeout(redis.timeout or 2000)
    local ok, why = socket:connect(redis.host or "127.0.0.1", redis.port or 6379)
    if not ok then
        return nil, why
    end
    if socket:getreusedtimes() == 0 then
        if redis.password then
            if redis.user then
                ok, why = ask(socket, "AUTH", redis.user, redis.password)
            else
                ok, why = ask(socket, "AUTH", redis.password)
            end
        end
        if ok and redis.database then
            ok, why = ask(socket, "SELECT", redis.database)
        end
        if not ok then
            socket:close()
            return nil, why
        end
    end
    local answer
    answer, why = run(socket)
    if answer == nil then
        socket:close()
    else
        socket:setkeepalive(IDLE, POOL)
    end
    return answer, why
end

-- The three things that a store can do: take a key, say that it is done, give it back.
local redis, dict = {}, {}

function redis.take(self, key, token)
    return with_redis(self, function(socket)
        local set, why = ask(socket, "SET", key, token, "NX", "PX", self.lease * 1000)
        if set then
            return "taken"
        elseif set == nil then
            return nil, why
        end
        local value
        value, why = ask(socket, "GET", key)
        if value == nil then
            return nil, why
        end
        return value == "done" and "done" or "busy"
    end)
end

function redis.done(self, key)
    return with_redis(self, function(socket)
        return ask(socket, "SET", key, "done", "PX", self.keep * 1000)
    end)
end

function redis.release(self, key, token)
    return with_redis(self, function(socket)
        return ask(socket, "EVAL",
            "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
            1, key, token)
    end)
end

function dict.take(self, key, token)
    local ok, why = self.dict:add(key, token, self.lease)
    if ok then
        return "taken"
    elseif why ~= "exists" then
        return nil, why
    end
    return self.dict:get(key) == "done" and "done" or "busy"
end

function dict.done(self, key)
    return self.dict:set(key, "done", self.keep)
end

function dict.release(self, key, token)
    if self.dict:get(key) == token then
        self.dict:delete(key)
    end
end

-- `redis`: { host, port, user, password, database, timeout in ms }, or `dict`: a shared dictionary; `prefix` of the
-- keys; `lease`: seconds that the function may take; `keep`: seconds that it is remembered that it was done.
function module.new(options)
    options = options or {}
    local store = options.redis and redis or options.dict and dict
    if not store then
        error("`redis` or `dict` is needed", 2)
    end
    return setmetatable({
        store = store,
        redis = options.redis,
        dict = options.dict,
        prefix = options.prefix or "once:",
        lease = options.lease or LEASE,
        keep = options.keep or KEEP,
    }, guard)
end

-- Calls `run` if nobody has with this key: "done" and what it returns, or "already" if it was done before. nil and an
-- error if it cannot be said, or is being done elsewhere: let the message be delivered again. An error of `run` is
-- raised, after the key was given back.
function guard:once(key, run)
    if type(key) ~= "string" or key == "" then
        error("a key was expected", 2)
    end
    key = self.prefix .. key
    sequence = sequence + 1
    local token = concat({ ngx.worker.pid(), ngx.now(), sequence, math.random() }, ":")
    local state, why = self.store.take(self, key, token)
    if state == "done" then
        return "already"
    elseif state == "busy" then
        return nil, "it is being done elsewhere"
    elseif not state then
        return nil, why
    end
    local ok, value = pcall(run)
    if not ok then
        self.store.release(self, key, token)
        error(value, 0)
    end
    local kept
    kept, why = self.store.done(self, key)
    if not kept then
        return nil, why
    end
    return "done", value
end

return module
