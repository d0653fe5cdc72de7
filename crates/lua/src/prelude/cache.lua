-- resty.lrucache: a cache in one VM that forgets what was used longest ago.
--
-- Entries are a ring of tables around a root: root.next was used last, root.previous longest ago.

local preload = package.preload
local block = (...).block
local setmetatable, type = setmetatable, type

local methods = { _VERSION = "0.15" }
local metatable = { __index = methods }

local function unlink(entry)
    entry.previous.next, entry.next.previous = entry.next, entry.previous
end

-- Makes an entry the one used last.
local function put_first(root, entry)
    entry.previous, entry.next = root, root.next
    root.next.previous = entry
    root.next = entry
end

local function new_root()
    local root = {}
    root.next, root.previous = root, root
    return root
end

function methods.new(size)
    if type(size) ~= "number" or size < 1 then
        return nil, "size too small"
    end
    return setmetatable({ entries = {}, size = size, used = 0, root = new_root() }, metatable)
end

-- The value and its flags; or nil, the value that has expired, and its flags.
function methods.get(cache, key)
    local entry = cache.entries[key]
    if not entry then
        return nil
    end
    unlink(entry)
    put_first(cache.root, entry)
    if entry.expires and entry.expires < block.now then
        return nil, entry.value, entry.flags
    end
    return entry.value, nil, entry.flags
end

local function remove(cache, entry)
    unlink(entry)
    cache.entries[entry.key] = nil
    cache.used = cache.used - 1
end

function methods.delete(cache, key)
    local entry = cache.entries[key]
    if not entry then
        return false
    end
    remove(cache, entry)
    return true
end

function methods.set(cache, key, value, ttl, flags)
    local entry = cache.entries[key]
    if entry then
        unlink(entry)
    else
        if cache.used >= cache.size then
            remove(cache, cache.root.previous)
        end
        entry = { key = key }
        cache.entries[key] = entry
        cache.used = cache.used + 1
    end
    put_first(cache.root, entry)
    entry.value = value
    entry.expires = ttl and block.now + ttl
    entry.flags = type(flags) == "number" and flags >= 0 and flags or 0
end

function methods.count(cache)
    return cache.used
end

function methods.capacity(cache)
    return cache.size
end

-- Up to `max` keys, those used last first.
function methods.get_keys(cache, max, result)
    if not max or max <= 0 then
        max = cache.used
    end
    result = result or {}
    local count, entry = 0, cache.root.next
    while count < max and entry ~= cache.root do
        count = count + 1
        result[count] = entry.key
        entry = entry.next
    end
    result[count + 1] = nil
    return result
end

function methods.flush_all(cache)
    cache.entries, cache.used, cache.root = {}, 0, new_root()
end

for _, name in ipairs { "resty.lrucache", "resty.lrucache.pureffi" } do
    preload[name] = function()
        return methods
    end
end
