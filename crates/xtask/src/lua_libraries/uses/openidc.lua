local pkey = require "resty.openssl.pkey"
local key = pkey.new { type = "RSA", bits = 2048 }
ngx.shared.caches:set("jwk", key:tostring("public", "JWK"))
local token = require("resty.jwt"):sign(key:to_PEM "private", {
    header = { typ = "JWT", alg = "RS256", kid = "one" },
    payload = { sub = "me", iss = "http://127.0.0.1:" .. ngx.var.server_port, exp = ngx.time() + 60, iat = ngx.time() },
})
local http = require("resty.http").new()
local url = "http://127.0.0.1:" .. ngx.var.server_port .. "/openidc"
local answer = assert(http:request_uri(url, { headers = { Authorization = "Bearer " .. token } }))
assert(answer.body == "me", answer.body)
answer = assert(http:request_uri(url, { headers = { Authorization = "Bearer " .. token .. "x" } }))
assert(answer.status == 401, answer.body)
