-- log_by_lua_file: a line for the collector, which sends many at once and never from here.
require("collector").add {
  time = ngx.req.start_time(),
  consumer = ngx.ctx.consumer,
  method = ngx.req.get_method(),
  path = ngx.var.uri,
  status = ngx.status,
  seconds = tonumber(ngx.var.request_time),
  upstream = ngx.var.upstream_addr,
}
