local cache = assert(require("resty.mlcache").new("test", "caches", { ipc_shm = "caches_ipc" }))
local calls = 0
local function load()
    calls = calls + 1
    return { name = "value" }
end
assert(cache:get("key", nil, load).name == "value" and cache:get("key", nil, load).name == "value" and calls == 1)
assert(cache:delete "key" and cache:get("key", nil, load) and calls == 2)
assert(cache:purge())
