-- access_by_lua_file: who are you, and have you asked too often?
local jwt, limit = require "jwt", require "limit"

local function refuse(status, message)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.say('{"error":"', message, '"}')
  return ngx.exit(status)
end

local token = (ngx.var.http_authorization or ""):match("^Bearer (.+)$")
local claims, why = jwt.verify(token, os.getenv("JWT_SECRET"))
if not claims then
  ngx.header["WWW-Authenticate"] = "Bearer"
  return refuse(401, why)
end
ngx.ctx.consumer = claims.sub

local left, seconds = limit.take(claims.sub, 10, 60)
if not left then
  -- A limiter that is down lets requests pass; that is a choice.
  ngx.log(ngx.WARN, "no limit: ", seconds)
elseif left < 0 then
  ngx.header["Retry-After"] = seconds
  return refuse(429, "too many calls")
end

ngx.req.set_header("X-Consumer", claims.sub)
ngx.req.clear_header("Authorization")
