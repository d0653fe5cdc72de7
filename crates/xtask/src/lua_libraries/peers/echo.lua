ngx.req.read_body()
ngx.print(ngx.req.get_method(), " ", ngx.req.get_body_data(), " ", ngx.var.http_x_name)
