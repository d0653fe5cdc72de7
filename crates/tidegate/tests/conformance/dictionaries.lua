-- Shared dictionaries, and caches of one worker.

--# ngx.shared
ngx.say(type(ngx.shared.dogs), " ", ngx.shared.nothing)
--> table nil
--! ngx.shared
ngx.shared.nothing:set("a", 1)
--> case:1: attempt to index field 'nothing' (a nil value)

--# dictionary:set dictionary:get dictionary:delete
local dogs = ngx.shared.dogs
ngx.say(dogs:set("set", "text", 0, 7))
ngx.say(dogs:get("set"))
dogs:set("set", 1.5) ngx.print(dogs:get("set"), " ")
dogs:set("set", true) ngx.say(dogs:get("set"))
ngx.say(dogs:delete("set"), " ", dogs:get("set"))
--> truenilfalse
--> text7
--> 1.5 true
--> true nil
--! dictionary:set
local dogs = ngx.shared.dogs
ngx.say(dogs:set(nil, 1)) ngx.say(dogs:set("", 1)) ngx.say(dogs:set(("k"):rep(65536), 1)) ngx.say(dogs:set("a", {}))
ngx.say(pcall(dogs.set, dogs, "a", 1, -1)) ngx.say(pcall(dogs.set, dogs, "a", 1, 0, "f")) ngx.say(pcall(dogs.set, {}, "a", 1))
--> nilnil key
--> nilempty key
--> nilkey too long
--> nilbad value type
--> falsebad "exptime" argument
--> falsebad "flags" argument
--> falsebad "zone" argument
--! dictionary:set
ngx.say(pcall(ngx.shared.dogs.set, { 1 }, "a", 1)) ngx.say(pcall(ngx.shared.dogs.set, { ngx.null }, "a", 1))
ngx.say(pcall(ngx.encode_args, { a = ngx.shared.dogs }))
--> falsebad "zone" argument
--> falsebad "zone" argument
--> falseattempt to use userdata as query arg value
--! dictionary:set
local small = ngx.shared.small
small:flush_all() small:flush_expired()
ngx.say(small:set("big", ("x"):rep(20000)))
for i = 1, 2000 do
    local ok, why, forcible = small:set("key" .. i, ("y"):rep(100))
    if forcible then ngx.say("forcible ", tostring(ok)) break end
end
--> falseno memoryfalse
--> forcible true
--! dictionary:get dictionary:get_stale
local dogs = ngx.shared.dogs
ngx.say(dogs:get(nil)) ngx.say(dogs:get_stale("")) ngx.say(pcall(dogs.get, {}, "a")) ngx.say(pcall(dogs.get_stale, 1, "a"))
dogs:rpush("a list", 1)
ngx.say(dogs:get("a list")) ngx.say(dogs:get_stale("a list"))
dogs:delete("a list")
--> nilnil key
--> nilempty key
--> falsebad "zone" argument
--> falsebad "zone" argument
--> nilvalue is a list
--> nilvalue is a list
--! dictionary:delete
local dogs = ngx.shared.dogs
ngx.say(dogs:delete(nil)) ngx.say(dogs:delete("")) ngx.say(pcall(dogs.delete, "dogs", "a"))
--> nilnil key
--> nilempty key
--> falsebad "zone" argument

--# dictionary:get_stale dictionary:ttl dictionary:expire
local dogs = ngx.shared.dogs
dogs:set("stale", "text", 0.01, 3)
repeat ngx.sleep(0.005) until dogs:ttl("stale") < 0
ngx.say(dogs:get("stale"), " ", dogs:get_stale("stale"))
dogs:set("stale", 1)
ngx.say(dogs:ttl("stale"), " ", dogs:expire("stale", 100), " ", math.ceil(dogs:ttl("stale")))
dogs:delete("stale")
--> nil nil
--> 0 true 100
--! dictionary:ttl dictionary:expire
local dogs = ngx.shared.dogs
ngx.say(dogs:ttl("none")) ngx.say(dogs:ttl(nil)) ngx.say(dogs:expire("none", 1)) ngx.say(dogs:expire("", 1))
ngx.say(pcall(dogs.expire, dogs, "a", -1)) ngx.say(pcall(dogs.expire, dogs, "a"))
--> nilnot found
--> nilnil key
--> nilnot found
--> nilempty key
--> falsebad "exptime" argument
--> falsebad "exptime" argument

--# dictionary:add dictionary:replace dictionary:safe_add dictionary:safe_set
local dogs = ngx.shared.dogs
dogs:delete("b")
ngx.say(dogs:replace("b", 1)) ngx.say(dogs:add("b", 1)) ngx.say(dogs:add("b", 2)) ngx.say(dogs:replace("b", 3))
ngx.say(dogs:safe_add("b", 1)) ngx.say(dogs:safe_set("b", 4)) ngx.say(dogs:get("b"))
dogs:delete("b")
--> falsenot foundfalse
--> truenilfalse
--> falseexistsfalse
--> truenilfalse
--> falseexistsfalse
--> truenilfalse
--> 4
--! dictionary:add dictionary:replace dictionary:safe_add dictionary:safe_set
local small = ngx.shared.small
small:flush_all() small:flush_expired()
for i = 1, 2000 do
    local ok, why = small:safe_set("key" .. i, ("y"):rep(100))
    if not ok then ngx.say(why, " ", i > 10) break end
end
ngx.say(small:safe_add("one more", ("y"):rep(100)))
ngx.say(small:add("", 1)) ngx.say(small:replace(nil, 1)) ngx.say(small:add("c", nil)) ngx.say(small:replace("c", print))
small:flush_all() small:flush_expired()
--> no memory true
--> falseno memoryfalse
--> nilempty key
--> nilnil key
--> nilattempt to add or replace nil values
--> nilbad value type

--# dictionary:incr
local dogs = ngx.shared.dogs
dogs:delete("n")
ngx.say(dogs:incr("n", 1)) ngx.say(dogs:incr("n", 2, 10)) ngx.say(dogs:incr("n", -0.5)) ngx.say(dogs:incr("m", 1, 0, 50))
ngx.say(math.ceil(dogs:ttl("m")))
dogs:delete("n") dogs:delete("m")
--> nilnot found
--> 12nilfalse
--> 11.5
--> 1nilfalse
--> 50
--! dictionary:incr
local dogs = ngx.shared.dogs
dogs:set("text", "x")
ngx.say(dogs:incr("text", 1)) ngx.say(dogs:incr("", 1))
ngx.say(pcall(dogs.incr, dogs, "a", "x")) ngx.say(pcall(dogs.incr, dogs, "a", 1, "x")) ngx.say(pcall(dogs.incr, dogs, "a", 1, nil, 5))
ngx.say(pcall(dogs.incr, dogs, "a", 1, 1, -1))
dogs:delete("text")
--> nilnot a number
--> nilempty key
--> falsebad "value" argument: number expected, got string (cannot convert 'nil' to 'double')
--> falsebad init arg: number expected, got string
--> falsemust provide "init" when providing "init_ttl"
--> falsebad "init_ttl" argument

--# dictionary:lpush dictionary:rpush dictionary:lpop dictionary:rpop dictionary:llen
local dogs = ngx.shared.dogs
dogs:delete("list")
ngx.say(dogs:lpush("list", "b"), dogs:lpush("list", "a"), dogs:rpush("list", 3), dogs:llen("list"))
ngx.say(dogs:lpop("list"), dogs:rpop("list"), dogs:llen("list"), dogs:lpop("list"), dogs:lpop("list"), dogs:llen("list"))
--> 1233
--> a31bnil0
--! dictionary:lpush dictionary:rpush dictionary:lpop dictionary:rpop dictionary:llen
local dogs = ngx.shared.dogs
dogs:set("plain", 1)
ngx.say(dogs:lpush("plain", 1)) ngx.say(dogs:rpush("plain", 1)) ngx.say(dogs:lpop("plain")) ngx.say(dogs:rpop("plain")) ngx.say(dogs:llen("plain"))
ngx.say(dogs:lpush("l", {})) ngx.say(dogs:rpush("", 1)) ngx.say(dogs:lpop(nil)) ngx.say(dogs:rpop("")) ngx.say(dogs:llen(nil))
ngx.say(pcall(dogs.lpush, dogs, "l"))
dogs:delete("plain")
--> nilvalue not a list
--> nilvalue not a list
--> nilvalue not a list
--> nilvalue not a list
--> nilvalue not a list
--> nilbad value type
--> nilempty key
--> nilnil key
--> nilempty key
--> nilnil key
--> falseexpecting 3 arguments, but only seen 2

--# dictionary:flush_all dictionary:flush_expired dictionary:get_keys
local notes = ngx.shared.notes
notes:flush_all() notes:flush_expired()
for i = 1, 4 do notes:set("k" .. i, i) end
local keys = notes:get_keys()
table.sort(keys)
ngx.say(table.concat(keys, ","), " ", #notes:get_keys(2), #notes:get_keys(0))
notes:flush_all()
ngx.say(#notes:get_keys(), " ", notes:get_stale("k1"), " ", notes:flush_expired(1), notes:flush_expired(), " ", notes:get_stale("k1"))
--> k1,k2,k3,k4 24
--> 0 1 13 nil
--! dictionary:flush_all dictionary:flush_expired dictionary:get_keys
local notes = ngx.shared.notes
for _, name in ipairs { "flush_all", "flush_expired", "get_keys" } do
    ngx.say(pcall(notes[name], {}))
end
ngx.say(pcall(notes.flush_expired, notes, "x")) ngx.say(pcall(notes.get_keys, notes, "x"))
--> falsebad "zone" argument
--> falsebad "zone" argument
--> falsebad "zone" argument
--> true0
--> true

--# dictionary:capacity dictionary:free_space
local small = ngx.shared.small
small:flush_all() small:flush_expired()
local free = small:free_space()
for i = 1, 100 do small:set("key" .. i, ("z"):rep(30)) end
ngx.say(small:capacity(), " ", free > 0, " ", small:free_space() < free)
small:flush_all() small:flush_expired()
--> 12288 true true
--! dictionary:capacity dictionary:free_space
ngx.say(pcall(ngx.shared.small.capacity, {})) ngx.say(pcall(ngx.shared.small.free_space, nil))
--> falsebad "zone" argument
--> falsebad "zone" argument

--# resty.lrucache.new resty.lrucache.get resty.lrucache.set resty.lrucache.delete resty.lrucache.count
--& resty.lrucache.capacity resty.lrucache.get_keys resty.lrucache.flush_all
local cache = require("resty.lrucache").new(2)
cache:set("a", { 1 }) cache:set("b", 2, 100, 5) cache:set("c", 3, 0.001)
repeat ngx.sleep(0.002) until not cache:get("c")
local value, stale = cache:get("c")
ngx.say(tostring(cache:get("a")), " ", table.concat({ cache:get("b") or "?", select(3, cache:get("b")) }, " "), " ", tostring(value), " ", stale)
ngx.say(cache:count(), cache:capacity(), table.concat(cache:get_keys(), ","), table.concat(cache:get_keys(1), ","))
cache:delete("b")
ngx.say(cache:count(), tostring(cache:get("b")))
cache:flush_all()
ngx.say(cache:count())
--> nil 2 5 nil 3
--> 22b,cb
--> 1nil
--> 0
--! resty.lrucache.new
ngx.say(require("resty.lrucache").new(0))
--> nilsize too small
--~ resty.lrucache.get resty.lrucache.set : takes any key and value, and answers nothing for what is not there
--~ resty.lrucache.delete resty.lrucache.count : takes any key and value, and answers nothing for what is not there
--~ resty.lrucache.capacity : takes any key and value, and answers nothing for what is not there
--~ resty.lrucache.get_keys : takes any key and value, and answers nothing for what is not there
--~ resty.lrucache.flush_all : takes any key and value, and answers nothing for what is not there
