-- For luacheck: names that are unused or not there, in all Lua of this repository but what is a piece of a script or a
-- template for one.
std = "luajit"
globals = { "ngx", "ndk" }
max_line_length = false
exclude_files = {
    "target", "crates/tidegate/tests/conformance", "crates/tidegate/src/script", "crates/xtask/src/lua_libraries/uses",
    "bench/lua/lua/redis.lua", "bench/queue-burst/src/worker.lua",
}
-- `not (x >= y)` is how NaN is refused.
ignore = { "581" }
-- The host replaces functions of Lua's own.
files["crates/lua/src/prelude"].ignore = { "121", "122" }
-- What has to live until the call is over.
files["crates/lua/src/library/openssl/bn.lua"].ignore = { "241/kept" }
