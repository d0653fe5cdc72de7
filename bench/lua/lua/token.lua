local jwt = require "jwt"

local claims, wrong = jwt.verify(string.sub(ngx.var.http_authorization, 8), "a secret that is shared by both")
if not claims then
    ngx.status = 401
    return ngx.say(wrong)
end
ngx.say(claims.sub)
