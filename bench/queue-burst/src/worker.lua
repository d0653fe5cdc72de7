-- Counts in Redis how often each message was worked on.
local message = ...
if TAKES > 0 then
    ngx.sleep(TAKES)
end
local socket = ngx.socket.tcp()
assert(socket:connect("127.0.0.1", PORT))
local function ask(...)
    local out = "*" .. select("#", ...) .. "\r\n"
    for index = 1, select("#", ...) do
        local word = tostring((select(index, ...)))
        out = out .. "$" .. #word .. "\r\n" .. word .. "\r\n"
    end
    assert(socket:send(out))
    return assert(socket:receive("*l"))
end
if socket:getreusedtimes() == 0 then
    ask("AUTH", "PASSWORD")
end
ask("HINCRBY", "worked", message.body, 1)
socket:setkeepalive(10000, 100)
