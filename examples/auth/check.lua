-- Runs in the gateway, once for each request. What it answers, the upstream never sees.
local CONSUMERS = { ["k-ada"] = "ada", ["k-grace"] = "grace" }
local CALLS, SECONDS = 10, 60

local function refuse(status, message)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.say('{"error":"', message, '"}')
  return ngx.exit(status)
end

local consumer = CONSUMERS[ngx.var.http_x_api_key or ""]
if not consumer then
  return refuse(401, "no key, or an unknown one")
end
ngx.ctx.consumer = consumer

-- The first call of a window makes the counter; it expires by itself.
local calls = ngx.shared.calls:incr(consumer, 1, 0, SECONDS)
ngx.ctx.calls_left = math.max(CALLS - calls, 0)
if calls > CALLS then
  ngx.header["Retry-After"] = math.ceil(ngx.shared.calls:ttl(consumer))
  return refuse(429, "too many calls")
end

-- The upstream learns who asks, and not with which key.
ngx.req.set_header("X-Consumer", consumer)
ngx.req.clear_header("X-Api-Key")
