local http = require("resty.http").new()
local url = "http://127.0.0.1:" .. ngx.var.server_port .. "/echo"
for _ = 1, 3 do
    local answer = assert(http:request_uri(url, { method = "POST", body = "hello", headers = { ["X-Name"] = "value" } }))
    assert(answer.status == 200 and answer.body == "POST hello value", answer.body)
end
local tls = require("resty.http").new()
assert(tls:connect { scheme = "https", host = "127.0.0.1", port = @TLS@, ssl_verify = false })
local answer = assert(tls:request { path = "/", headers = { Host = "localhost" } })
assert(answer.status == 200 and answer:read_body():find("Cipher", 1, true))
