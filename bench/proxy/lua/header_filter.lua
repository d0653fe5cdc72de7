ngx.header["X-Served-By"] = "bench"
