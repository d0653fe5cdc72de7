local function own(name)
    return assert(loadfile("@ROOT@/lua-resty-string/lib/resty/" .. name .. ".lua"))()
end
local str, sha, aes = own "string", own "sha256", own "aes"
local digest = sha:new()
assert(digest:update("abc"))
assert(str.to_hex(digest:final()):sub(1, 8) == "ba7816bf")
local cipher = assert(aes:new("secret", "12345678", aes.cipher(256, "cbc"), aes.hash.sha512, 5))
assert(cipher:decrypt(cipher:encrypt("hello")) == "hello")
assert(#require("resty.random").bytes(16, true) == 16 and own("md5"):new():update("x"))
