local http = require("resty.http").new()
local body = "--limit\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n"
    .. ("x"):rep(9000) .. "\r\n--limit--\r\n"
local answer = assert(http:request_uri("http://127.0.0.1:" .. ngx.var.server_port .. "/upload", {
    method = "POST", body = body, headers = { ["Content-Type"] = "multipart/form-data; boundary=limit" },
}))
assert(answer.body == "header header body 9000 part_end eof", answer.body)
