-- What a plugin does at least: read a header, set a header, count.
local tenant = ngx.var.http_x_tenant or "none"
ngx.req.set_header("X-Tenant-Checked", tenant)
ngx.shared.counters:incr(tenant, 1, 0)
