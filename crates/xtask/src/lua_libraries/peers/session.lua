local session = require("resty.session").start { secret = "a secret of some length for tests" }
local count = (session:get "count" or 0) + 1
session:set("count", count)
assert(session:save())
ngx.print(count)
