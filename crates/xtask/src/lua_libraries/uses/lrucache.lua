for _, lru in ipairs { require "resty.lrucache", assert(loadfile "@ROOT@/lua-resty-lrucache/lib/resty/lrucache.lua")() } do
    local cache = assert(lru.new(2))
    cache:set("a", 1)
    cache:set("b", 2, 10)
    assert(cache:get "a" == 1)
    cache:set("c", 3)
    assert(cache:get "b" == nil and cache:get "c" == 3 and cache:count() == 2)
end
