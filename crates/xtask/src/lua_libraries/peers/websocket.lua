local server = assert(require("resty.websocket.server"):new { timeout = 2000 })
while true do
    local data, kind = server:recv_frame()
    if kind == "ping" then
        server:send_pong(data)
    elseif kind == "text" then
        server:send_text(data)
    else
        break
    end
end
