-- resty.sha: the types that contexts of OpenSSL's digests are declared with.

require("ffi").cdef [[
typedef unsigned long SHA_LONG;
typedef unsigned long long SHA_LONG64;
enum { SHA_LBLOCK = 16 };
]]

return { _VERSION = "0.17" }
