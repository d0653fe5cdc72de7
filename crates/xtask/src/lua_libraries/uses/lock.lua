local lock = require "resty.lock"
local one, other = assert(lock:new("locks", { timeout = 1 })), assert(lock:new("locks", { timeout = 0.01 }))
assert(one:lock "key" == 0)
local elapsed, why = other:lock "key"
assert(not elapsed and why == "timeout", why)
assert(one:unlock() and other:lock "key" and other:unlock())
