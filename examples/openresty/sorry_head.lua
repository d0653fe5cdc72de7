-- error_page 502 503 504: the head of our own page. The body is sorry_body.lua's.
if ngx.status == 502 or ngx.status == 503 or ngx.status == 504 then
  ngx.ctx.sorry = true
  ngx.status = 503
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = nil
end
