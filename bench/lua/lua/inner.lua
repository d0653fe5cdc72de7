ngx.print("user ", ngx.var.arg_user)
