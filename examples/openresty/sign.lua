-- tidegate lua sign.lua NAME: prints a token for an hour, signed with $JWT_SECRET.
package.path = (arg[0]:match("^(.*)/") or ".") .. "/lib/?.lua;" .. package.path
local secret = assert(os.getenv("JWT_SECRET"), "JWT_SECRET is not set")
local name = assert(arg[1], "usage: tidegate lua sign.lua NAME")
ngx.say(require("jwt").sign({ sub = name, exp = ngx.time() + 3600 }, secret))
