local headers = ngx.req.get_headers()
ngx.req.set_header("X-Tenant-Checked", headers["X-Tenant"])
ngx.req.clear_header("Accept")
ngx.header["X-Tenant"] = ngx.var.http_x_tenant
ngx.header["X-Agent"] = headers["User-Agent"]
ngx.header["Cache-Control"] = { "no-store", "private" }
ngx.header["X-Removed"] = "soon"
ngx.header["X-Removed"] = nil
ngx.say("ok")
