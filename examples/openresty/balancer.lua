-- balancer_by_lua_file: each tenant has a server of its own.
local PORTS = { a = 9101, b = 9102 }

local port = PORTS[ngx.var.tenant]
if not port then
  ngx.log(ngx.WARN, "no server for the tenant ", ngx.var.tenant)
  return ngx.exit(503)
end
local ok, why = require("ngx.balancer").set_current_peer("127.0.0.1", port)
if not ok then
  ngx.log(ngx.ERR, "tenant ", ngx.var.tenant, ": ", why)
  return ngx.exit(500)
end
