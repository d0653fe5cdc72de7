ngx.header["Content-Type"] = "application/json"
ngx.say('{"consumer":"', ngx.req.get_headers()["X-Consumer"], '","orders":[]}')
