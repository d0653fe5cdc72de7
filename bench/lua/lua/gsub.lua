local text = string.rep("order 4711 of customer 0815, paid by card 4111-1111-1111-1111; ", 16)
local masked, count = ngx.re.gsub(text, [[(\d{4})-\d{4}-\d{4}-(\d{4})]], "$1-****-****-$2", "jo")
ngx.say(count, " ", #masked)
