-- Texts, digests and their relatives.

--# ngx.escape_uri
ngx.say(ngx.escape_uri("a b/c&d=é"), " ", ngx.escape_uri("a b/c", 0), " ", ngx.escape_uri(7))
--> a%20b%2Fc%26d%3D%C3%A9 a%20b/c 7
--! ngx.escape_uri
ngx.escape_uri("a", 7)
--> case:1: "type" 7 out of range
--! ngx.escape_uri
ngx.escape_uri("a", "b")
--> case:1: "type" is not a number

--# ngx.unescape_uri
ngx.say(ngx.unescape_uri("a%20b+c%2Fd"), " ", ngx.unescape_uri("%zz%4"))
--> a b c/d %zz%4
--~ ngx.unescape_uri : takes anything for a text, and leaves what is no escape as it is

--# ngx.encode_args
ngx.say(ngx.encode_args({ ["a b"] = "1&2" }), " ", ngx.encode_args({ a = { 1, "x" } }), " ", ngx.encode_args({ a = true }),
    " ", ngx.encode_args({ a = false }), ".")
--> a%20b=1%262 a=1&a=x a .
--! ngx.encode_args
ngx.encode_args("a=1")
--> case:1: bad argument #1 to '?' (table expected, got string)
--! ngx.encode_args
ngx.encode_args({ a = function() end })
--> case:1: attempt to use function as query arg value

--# ngx.decode_args
local args, why = ngx.decode_args("a=1&b=%20&a=2&c", 3)
ngx.say(table.concat(args.a, ","), "[", args.b, "]", tostring(args.c), " ", why)
--> 1,2[ ]nil truncated
--! ngx.decode_args
ngx.decode_args(nil)
--> case:1: bad argument #1 to 'decode_args' (string expected, got nil)

--# ngx.encode_base64
ngx.say(ngx.encode_base64("a\0b\255"), " ", ngx.encode_base64("a", true), " ", ngx.encode_base64(12))
--> YQBi/w== YQ MTI=
--! ngx.encode_base64
ngx.encode_base64("a", 1)
--> case:1: bad no_padding: boolean expected, got number

--# ngx.decode_base64
ngx.say(ngx.decode_base64("aGVsbG8="), " ", ngx.decode_base64("aGVsbG8"), " ", ngx.decode_base64("aGVsbG8=%"))
--> hello hello hello
--! ngx.decode_base64
ngx.say(ngx.decode_base64("a*b"))
ngx.decode_base64(nil)
--> nil
--> case:2: string argument only

--# ngx.decode_base64mime
ngx.say(ngx.decode_base64mime("aGVs\r\nbG8=") )
--> hello
--! ngx.decode_base64mime
ngx.decode_base64mime({})
--> case:1: string argument only

--# ngx.base64.encode_base64url ngx.base64.decode_base64url
local base64 = require "ngx.base64"
ngx.say(base64.encode_base64url("\251\255a"), " ", base64.decode_base64url("-_9h") == "\251\255a")
--> -_9h true
--! ngx.base64.encode_base64url
ngx.say(require("ngx.base64").encode_base64url(nil))
--> nilmust provide a string
--! ngx.base64.decode_base64url
local decode = require("ngx.base64").decode_base64url
ngx.say(decode("+/"), decode({}))
--> nilnilmust provide a string

--# ngx.md5 ngx.md5_bin ngx.sha1_bin ngx.hmac_sha1
local hex = require("resty.string").to_hex
ngx.say(ngx.md5("abc"))
ngx.say(hex(ngx.md5_bin("abc")))
ngx.say(hex(ngx.sha1_bin("abc")))
ngx.say(hex(ngx.hmac_sha1("key", "abc")))
ngx.say(ngx.md5(nil), " ", ngx.md5(12) == ngx.md5("12"))
--> 900150983cd24fb0d6963f7d28e17f72
--> 900150983cd24fb0d6963f7d28e17f72
--> a9993e364706816aba3e25717850c26c9cd0d89d
--> 4fd0b215276ef12f2b3e4c8ecac2811498b656fc
--> d41d8cd98f00b204e9800998ecf8427e true
--~ ngx.md5 ngx.md5_bin ngx.sha1_bin ngx.hmac_sha1 : takes anything for a text, nil for an empty one

--# ngx.crc32_short ngx.crc32_long
ngx.say(ngx.crc32_short("hello"), " ", ngx.crc32_long("hello"), " ", ngx.crc32_long(nil))
--> 907060870 907060870 0
--~ ngx.crc32_short ngx.crc32_long : takes anything for a text, nil for an empty one

--# ngx.quote_sql_str
ngx.say(ngx.quote_sql_str("it's\n\"\\\0\26"), ngx.quote_sql_str(nil))
--> 'it\'s\n\"\\\0\Z'''
--~ ngx.quote_sql_str : takes anything for a text, nil for an empty one

--# resty.string.to_hex resty.string.atoi
local str = require "resty.string"
ngx.say(str.to_hex("a\0\255"), " ", str.atoi("123"), " ", str.atoi("12x"))
--> 6100ff 123 -1
--! resty.string.to_hex
require("resty.string").to_hex(nil)
--> ngx.resty.string:12: attempt to get length of local 'text' (a nil value)
--! resty.string.atoi
require("resty.string").atoi(nil)
--> ngx.resty.string:19: attempt to get length of local 'text' (a nil value)

--# resty.md5.new resty.md5.update resty.md5.final resty.md5.reset resty.sha1.new resty.sha1.update resty.sha1.final
--& resty.sha1.reset resty.sha224.new resty.sha224.update resty.sha224.final resty.sha224.reset resty.sha256.new
--& resty.sha256.update resty.sha256.final resty.sha256.reset resty.sha384.new resty.sha384.update resty.sha384.final
--& resty.sha384.reset resty.sha512.new resty.sha512.update resty.sha512.final resty.sha512.reset
local hex = require("resty.string").to_hex
for _, name in ipairs { "md5", "sha1", "sha224", "sha256", "sha384", "sha512" } do
    local digest = require("resty." .. name):new()
    digest:update("nothing that counts")
    ngx.print(name, " ", tostring(digest:reset()), tostring(digest:update("a")), tostring(digest:update("bcd", 2)))
    ngx.say(" ", hex(digest:final()))
end
--> md5 truetruetrue 900150983cd24fb0d6963f7d28e17f72
--> sha1 truetruetrue a9993e364706816aba3e25717850c26c9cd0d89d
--> sha224 truetruetrue 23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7
--> sha256 truetruetrue ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
--> sha384 truetruetrue cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7
--> sha512 truetruetrue ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f
--! resty.md5.update resty.sha1.update resty.sha224.update resty.sha256.update resty.sha384.update resty.sha512.update
for _, name in ipairs { "md5", "sha1", "sha224", "sha256", "sha384", "sha512" } do
    local digest = require("resty." .. name):new()
    ngx.say(pcall(digest.update, digest, nil))
end
--> falsebad argument #1 to 'update' (string expected, got nil)
--> falsebad argument #1 to 'update' (string expected, got nil)
--> falsebad argument #1 to 'update' (string expected, got nil)
--> falsebad argument #1 to 'update' (string expected, got nil)
--> falsebad argument #1 to 'update' (string expected, got nil)
--> falsebad argument #1 to 'update' (string expected, got nil)
--~ resty.md5.new resty.sha1.new resty.sha224.new resty.sha256.new resty.sha384.new resty.sha512.new : takes nothing
--! resty.md5.final resty.sha1.final resty.sha224.final resty.sha256.final resty.sha384.final resty.sha512.final
--& resty.md5.reset resty.sha1.reset resty.sha224.reset resty.sha256.reset resty.sha384.reset resty.sha512.reset
for _, name in ipairs { "md5", "sha1", "sha224", "sha256", "sha384", "sha512" } do
    local digest = require("resty." .. name)
    ngx.say(select(2, pcall(digest.final, {})), ", ", select(2, pcall(digest.reset)), ", ",
        select(2, pcall(digest.update, { _ctx = 1 }, "a")), ", ", select(2, pcall(digest.update, digest:new(), "a", 2)))
end
--> not a digest, not a digest, not a digest, bad argument #2 to 'update' (more than there is)
--> not a digest, not a digest, not a digest, bad argument #2 to 'update' (more than there is)
--> not a digest, not a digest, not a digest, bad argument #2 to 'update' (more than there is)
--> not a digest, not a digest, not a digest, bad argument #2 to 'update' (more than there is)
--> not a digest, not a digest, not a digest, bad argument #2 to 'update' (more than there is)
--> not a digest, not a digest, not a digest, bad argument #2 to 'update' (more than there is)

--# resty.hmac.new resty.hmac.update resty.hmac.final resty.hmac.reset
local hmac = require "resty.hmac"
local one = hmac:new("key", hmac.ALGOS.SHA256)
ngx.say(one:update("ab"), one:reset(), one:update("a"), " ", one:final("bc", true))
--> truetruetrue 9c196e32dc0175f86f4b1cb89289d6619de6bee699e4c378e68309ed97a1a6ab
--! resty.hmac.new
ngx.say(require("resty.hmac"):new(nil))
--> nil
--! resty.hmac.update resty.hmac.final resty.hmac.reset
local one = require("resty.hmac"):new("key")
for _, name in ipairs { "update", "final", "reset" } do
    local ok, why = pcall(one[name], {}, "a")
    ngx.say(ok, " ", (why:gsub(":%d+:", ":")))
end
--> false ngx.resty.hmac: attempt to index field 'state' (a nil value)
--> false ngx.resty.hmac: attempt to index field 'state' (a nil value)
--> false ngx.resty.hmac: attempt to index field 'state' (a nil value)

--# resty.random.bytes
local bytes = require("resty.random").bytes
ngx.say(#bytes(16), #bytes(16, true), bytes(16) ~= bytes(16))
--> 1616true
--! resty.random.bytes
require("resty.random").bytes("many")
--> case:1: bad argument #1 to 'bytes' (number of bytes expected, got many)
--! resty.random.bytes
local bytes = require("resty.random").bytes
for _, length in ipairs { -1, -1 / 0, 0 / 0, 2 ^ 32 + 5, 1 / 0 } do
    ngx.say((pcall(bytes, length)))
end
ngx.say(#bytes(0.5), #bytes "2")
--> false
--> false
--> false
--> false
--> false
--> 02

--# resty.aes.new resty.aes.cipher resty.aes.encrypt resty.aes.decrypt
local aes = require "resty.aes"
local hex = require("resty.string").to_hex
local box = aes:new("secret", nil, aes.cipher(256, "cbc"), aes.hash.sha256)
ngx.say(hex(box:encrypt("a text")), " ", box:decrypt(box:encrypt("a text")))
local sealed = aes:new(("k"):rep(16), nil, aes.cipher(128, "gcm"), { iv = ("v"):rep(12) })
local parts = sealed:encrypt("a text", "head")
ngx.say(#parts[1], #parts[2], " ", sealed:decrypt(parts[1], parts[2], "head"))
--> 47591e5d9104f131c0a4f60f971e1905 a text
--> 616 a text
--! resty.aes.cipher
ngx.say(require("resty.aes").cipher(128, "none"))
--> nil
--! resty.aes.new
ngx.say(require("resty.aes"):new("key", "salt"))
--> nilsalt must be 8 characters or nil
--! resty.aes.encrypt
require("resty.aes").encrypt("key", "text")
--> case:1: bad argument #1 self: table expected, got string
--! resty.aes.decrypt
local box = require("resty.aes"):new("secret")
ngx.say(box:decrypt("not of sixteen"))
--> nilEVP_DecryptFinal_ex failed
