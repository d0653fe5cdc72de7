-- Executed for every request, as content_by_lua_file would.
local name = ngx.var.arg_name or "world"

ngx.header["Content-Type"] = "text/plain; charset=utf-8"
ngx.say("hello, ", ngx.unescape_uri(name))
ngx.say("from process ", ngx.worker.pid(), ", request ", ngx.var.request_id)
