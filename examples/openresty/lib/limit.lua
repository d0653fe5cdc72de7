-- Calls by a name within a window, counted in Redis, so that all gateways count together. lua-resty-redis speaks to Redis for
-- all purposes; what is needed here are two commands.
local HOST, PORT = os.getenv("REDIS_HOST") or "127.0.0.1", tonumber(os.getenv("REDIS_PORT") or 6379)
local PASSWORD = os.getenv("REDIS_PASSWORD")

-- One script, so that no window is without an end, whatever dies in between.
local SCRIPT = [[
local calls = redis.call('INCR', KEYS[1])
if calls == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return calls .. ' ' .. redis.call('TTL', KEYS[1])]]

-- Sends a command and returns the text that answers it, or nil and why there is none.
local function command(socket, ...)
  local parts = { "*", select("#", ...), "\r\n" }
  for _, word in ipairs { ... } do
    word = tostring(word)
    parts[#parts + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n"
  end
  local _, failure = socket:send(parts)
  local line, broken = socket:receive()
  if not line then
    return nil, failure or broken
  end
  if line:sub(1, 1) == "$" then
    return (socket:receive(tonumber(line:sub(2)) + 2))
  end
  return line:sub(1, 1) == "+" and line or nil, line
end

local function ask(...)
  local socket = ngx.socket.tcp()
  socket:settimeouts(200, 200, 500)
  local ok, why = socket:connect(HOST, PORT)
  if ok and PASSWORD and socket:getreusedtimes() == 0 then
    ok, why = command(socket, "AUTH", PASSWORD)
  end
  if not ok then
    return nil, why
  end
  local text, failure = command(socket, ...)
  if text then
    socket:setkeepalive(10000, 50)
  end
  return text, failure
end

local limit = {}

-- How many of `calls` within `seconds` are left to `name`, negative when it has asked too often, and when the window ends; or
-- nil and why that is not known.
function limit.take(name, calls, seconds)
  local reply, why = ask("EVAL", SCRIPT, 1, "calls:" .. name, seconds)
  local taken, rest = (reply or ""):match("^(%d+) (%d+)")
  if not taken then
    return nil, why or reply
  end
  return calls - tonumber(taken), tonumber(rest)
end

return limit
