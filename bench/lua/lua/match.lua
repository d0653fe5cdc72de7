local agent = ngx.var.http_user_agent
local found = ngx.re.match(agent, [[(?<browser>Firefox|Chrome)/(?<major>\d+)\.(\d+)]], "jo")
ngx.say(found and found.browser .. " " .. found.major or "unknown")
