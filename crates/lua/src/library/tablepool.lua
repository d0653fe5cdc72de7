-- tablepool: tables that are used again, by what they are for. They are the worker's.

local clear, new = require "table.clear", require "table.new"
local error, setmetatable = error, setmetatable

-- Tables of one kind that are kept; what is given back beyond is garbage.
local KEPT = 200

local module = {}
local pools, counts = {}, {}

function module.fetch(tag, narr, nrec)
    local count = counts[tag]
    if not count or count == 0 then
        return new(narr or 4, nrec or 4)
    end
    local pool = pools[tag]
    local one = pool[count]
    pool[count] = nil
    counts[tag] = count - 1
    return one
end

-- With `noclear` the table stays as it is.
function module.release(tag, one, noclear)
    if not one then
        error("object empty", 2)
    end
    local count = counts[tag] or 0
    if count >= KEPT then
        return
    end
    if not noclear then
        setmetatable(one, nil)
        clear(one)
    end
    local pool = pools[tag]
    if not pool then
        pool = new(4, 0)
        pools[tag] = pool
    end
    pool[count + 1] = one
    counts[tag] = count + 1
end

return module
