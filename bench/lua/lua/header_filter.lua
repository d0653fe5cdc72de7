ngx.header["Content-Length"] = nil
