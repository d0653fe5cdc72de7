local jwt, pkey = require "resty.jwt", require "resty.openssl.pkey"
local function check(alg, private, public)
    local token = jwt:sign(private, { header = { typ = "JWT", alg = alg }, payload = { sub = "me" } })
    local verified = jwt:verify(public, token)
    assert(verified.verified and verified.payload.sub == "me", alg .. ": " .. tostring(verified.reason))
    assert(not jwt:verify(public, token:sub(1, -5) .. "AAAA").verified, alg)
end
check("HS256", "secret", "secret")
local rsa, ec = pkey.new { type = "RSA", bits = 2048 }, pkey.new { type = "EC", curve = "prime256v1" }
check("RS256", rsa:to_PEM "private", rsa:to_PEM "public")
check("PS256", rsa:to_PEM "private", rsa:to_PEM "public")
check("ES256", ec:to_PEM "private", ec:to_PEM "public")
local key = ("k"):rep(32)
local encrypted = jwt:sign(key, { header = { typ = "JWE", alg = "dir", enc = "A128CBC-HS256" }, payload = { sub = "me" } })
assert(jwt:verify(key, encrypted).payload.sub == "me")
