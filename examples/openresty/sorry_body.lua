-- In place of the body that there was, one of our own, with its last piece.
if ngx.ctx.sorry then
  ngx.arg[1] = ngx.arg[2] and '{"error":"we are sorry, try again in a minute"}\n' or ""
end
