local inner = ngx.location.capture("/inner", { args = { user = "4711" } })
ngx.say(inner.status, " ", inner.body)
