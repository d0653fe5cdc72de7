-- Lines that requests leave behind, sent to a collector by HTTP once a second, in one piece. What cannot be sent is lost, and
-- said: a log must not fill the memory of what it is about.
local cjson = require "cjson.safe"

local HOST, PORT = os.getenv("COLLECTOR_HOST") or "127.0.0.1", tonumber(os.getenv("COLLECTOR_PORT") or 4318)
local MOST = 10000

local collector = {}
local lines, lost = {}, 0

function collector.add(line)
  if #lines >= MOST then
    lost = lost + 1
    return
  end
  lines[#lines + 1] = cjson.encode(line)
end

local function post(body)
  local socket = ngx.socket.tcp()
  socket:settimeouts(500, 500, 1000)
  local ok, why = socket:connect(HOST, PORT)
  if not ok then
    return nil, why
  end
  local head = "POST /lines HTTP/1.1\r\nHost: " .. HOST .. "\r\nContent-Type: application/x-ndjson\r\nContent-Length: "
  socket:send(head .. #body .. "\r\nConnection: close\r\n\r\n" .. body)
  local status, failure = socket:receive()
  socket:close()
  return status and status:match("^HTTP/1.1 2"), failure or status
end

function collector.flush()
  if #lines == 0 then
    return
  end
  local batch, before = lines, lost
  lines, lost = {}, 0
  local ok, why = post(table.concat(batch, "\n") .. "\n")
  if not ok then
    ngx.log(ngx.WARN, #batch + before, " lines are lost, the collector at ", HOST, ":", PORT, " says: ", why)
  end
end

-- In each worker. A worker that leaves runs the timer once more, so the last lines are sent as well.
function collector.start()
  assert(ngx.timer.every(1, collector.flush))
end

return collector
