local http = require("resty.http").new()
local url = "http://127.0.0.1:" .. ngx.var.server_port .. "/session"
local first = assert(http:request_uri(url))
local cookie = assert(first.headers["Set-Cookie"], first.body)
cookie = (type(cookie) == "table" and cookie[1] or cookie):match "^[^;]+"
local second = assert(http:request_uri(url, { headers = { Cookie = cookie } }))
assert(second.body == "2", second.body)
