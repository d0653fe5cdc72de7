-- Modules that are not about requests.

--# bit.band bit.bor bit.bxor bit.bnot bit.lshift bit.rshift bit.arshift bit.rol bit.ror bit.bswap bit.tobit bit.tohex
local bit = require "bit"
ngx.say(bit.band(12, 10), " ", bit.bor(12, 10), " ", bit.bxor(12, 10), " ", bit.bnot(0), " ", bit.lshift(1, 4), " ", bit.rshift(-1, 28), " ",
    bit.arshift(-16, 2), " ", bit.tohex(bit.rol(0x12345678, 8)), " ", bit.tohex(bit.ror(0x12345678, 8)), " ", bit.tohex(bit.bswap(0x12345678)), " ",
    bit.tobit(2 ^ 32 + 5), " ", bit.tohex(255, 4))
--> 8 14 6 -1 16 15 -4 34567812 78123456 78563412 5 00ff
--! bit.band bit.bor bit.bxor bit.bnot bit.lshift bit.rshift bit.arshift bit.rol bit.ror bit.bswap bit.tobit bit.tohex
local bit = require "bit"
for _, name in ipairs { "band", "bor", "bxor", "bnot", "lshift", "rshift", "arshift", "rol", "ror", "bswap", "tobit", "tohex" } do
    local ok, why = pcall(bit[name], {}, 1)
    ngx.print(tostring(ok), why:match("number expected, got table") and "." or why)
end
--> false.false.false.false.false.false.false.false.false.false.false.false.

--# cjson.encode cjson.decode cjson.safe.encode cjson.safe.decode cjson.new cjson.safe.new
local cjson, safe = require "cjson", require "cjson.safe"
ngx.say(cjson.encode({ a = { 1, 2, cjson.null }, b = "é\"\n/" }):len(), " ", cjson.encode({}), cjson.encode(cjson.empty_array), " ", safe.encode({ 1.5, true }))
local decoded = cjson.decode('{"a":[1,null,{"b":"\\u00e9"}],"c":1e3}')
ngx.say(decoded.a[1], " ", decoded.a[2] == cjson.null, " ", decoded.a[3].b, " ", decoded.c, " ", safe.decode("[7]")[1])
ngx.say(cjson.new() ~= cjson, " ", safe.new().decode("{"))
--> 31 {}[] [1.5,true]
--> 1 true é 1000 7
--> true nilExpected object key string but found T_END at character 2
--! cjson.encode cjson.decode cjson.safe.encode cjson.safe.decode
local cjson, safe = require "cjson", require "cjson.safe"
ngx.say(pcall(cjson.encode, print)) ngx.say(safe.encode({ [print] = 1 })) ngx.say(pcall(cjson.decode, "{")) ngx.say(safe.decode("[1,]")) ngx.say(safe.decode(nil))
ngx.say(pcall(cjson.encode))
--> falseCannot serialise function: type not supported
--> nilCannot serialise function: table key must be a number or string
--> falseExpected object key string but found T_END at character 2
--> nilExpected value but found T_ARR_END at character 4
--> nilbad argument #1 to 'decode' (string expected, got nil)
--> falsebad argument #1 to 'encode' (expected 1 argument)
--! cjson.new cjson.safe.new
local one, two = require("cjson").new(1), require("cjson.safe").new(2)
ngx.say(type(one.encode), pcall(one.decode, "{")) ngx.say(type(two.encode), two.decode("{"))
--> functionfalseExpected object key string but found T_END at character 2
--> functionnilExpected object key string but found T_END at character 2
--# cjson.encode_sparse_array cjson.encode_max_depth cjson.decode_max_depth cjson.encode_number_precision
--& cjson.encode_keep_buffer cjson.encode_invalid_numbers cjson.decode_invalid_numbers
--& cjson.encode_empty_table_as_object cjson.decode_array_with_array_mt cjson.encode_escape_forward_slash
--& cjson.encode_skip_unsupported_value_types
local cjson = require "cjson"
ngx.say(cjson.encode_sparse_array(), " ", cjson.encode_max_depth(), " ", cjson.decode_max_depth(), " ", cjson.encode_number_precision(), " ", cjson.encode_keep_buffer(), " ",
    cjson.encode_invalid_numbers(), " ", cjson.decode_invalid_numbers())
cjson.encode_sparse_array(true) ngx.print(cjson.encode({ [1] = 1, [20] = 1 }), " ") cjson.encode_sparse_array(false)
cjson.encode_number_precision(3) ngx.print(cjson.encode(1 / 3), " ") cjson.encode_number_precision(14)
cjson.encode_invalid_numbers("null") ngx.print(cjson.encode({ 0 / 0 }), " ") cjson.encode_invalid_numbers(false)
cjson.encode_empty_table_as_object(false) ngx.print(cjson.encode({}), " ") cjson.encode_empty_table_as_object(true)
cjson.encode_escape_forward_slash(false) ngx.print(cjson.encode("/"), " ") cjson.encode_escape_forward_slash(true)
cjson.decode_array_with_array_mt(true) ngx.print(cjson.encode(cjson.decode("[]")), " ") cjson.decode_array_with_array_mt(false)
cjson.decode_max_depth(1) ngx.print(tostring(pcall(cjson.decode, "[[1]]")), " ") cjson.decode_max_depth(1000)
cjson.encode_max_depth(1) ngx.print(tostring(pcall(cjson.encode, { { 1 } })), " ") cjson.encode_max_depth(1000)
cjson.encode_skip_unsupported_value_types(true) ngx.print(cjson.encode({ 1, print }), " ") cjson.encode_skip_unsupported_value_types(false)
cjson.decode_invalid_numbers(false) ngx.say(tostring(pcall(cjson.decode, "NaN"))) cjson.decode_invalid_numbers(true)
--> false 1000 1000 14 true false true
--> {"20":1,"1":1} 0.333 [null] [] "/" [] false false [1] false
--! cjson.encode_sparse_array cjson.encode_max_depth cjson.decode_max_depth cjson.encode_number_precision
--& cjson.encode_keep_buffer cjson.encode_invalid_numbers cjson.decode_invalid_numbers
--& cjson.encode_empty_table_as_object cjson.decode_array_with_array_mt cjson.encode_escape_forward_slash
--& cjson.encode_skip_unsupported_value_types
local cjson = require "cjson"
for _, name in ipairs { "encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision", "encode_keep_buffer", "encode_invalid_numbers",
    "decode_invalid_numbers", "encode_empty_table_as_object", "decode_array_with_array_mt", "encode_escape_forward_slash",
    "encode_skip_unsupported_value_types" } do
    ngx.say(pcall(cjson[name], "wrong"))
end
--> falsebad argument #1 to 'encode_sparse_array' (invalid option 'wrong')
--> falsebad argument #1 to 'encode_max_depth' (number expected, got string)
--> falsebad argument #1 to 'decode_max_depth' (number expected, got string)
--> falsebad argument #1 to 'encode_number_precision' (number expected, got string)
--> falsebad argument #1 to 'encode_keep_buffer' (invalid option 'wrong')
--> falsebad argument #1 to 'encode_invalid_numbers' (invalid option 'wrong')
--> falsebad argument #1 to 'decode_invalid_numbers' (invalid option 'wrong')
--> falsebad argument #1 to 'encode_empty_table_as_object' (invalid option 'wrong')
--> falsebad argument #1 to 'decode_array_with_array_mt' (invalid option 'wrong')
--> falsebad argument #1 to 'encode_escape_forward_slash' (invalid option 'wrong')
--> falsebad argument #1 to 'encode_skip_unsupported_value_types' (invalid option 'wrong')
--# cjson.safe.encode_sparse_array cjson.safe.encode_max_depth cjson.safe.decode_max_depth
--& cjson.safe.encode_number_precision cjson.safe.encode_keep_buffer cjson.safe.encode_invalid_numbers
--& cjson.safe.decode_invalid_numbers cjson.safe.encode_empty_table_as_object cjson.safe.decode_array_with_array_mt
--& cjson.safe.encode_escape_forward_slash cjson.safe.encode_skip_unsupported_value_types
local safe = require "cjson.safe"
for _, name in ipairs { "encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision", "encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers", "encode_empty_table_as_object", "decode_array_with_array_mt", "encode_escape_forward_slash", "encode_skip_unsupported_value_types" } do
    ngx.print(tostring(safe[name]()), " ")
end
safe.encode_skip_unsupported_value_types(true)
ngx.say(safe.encode({ 1, print }))
safe.encode_skip_unsupported_value_types(false)
--> false 1000 1000 14 true false true true false true false [1]
--! cjson.safe.encode_sparse_array cjson.safe.encode_max_depth cjson.safe.decode_max_depth
--& cjson.safe.encode_number_precision cjson.safe.encode_keep_buffer cjson.safe.encode_invalid_numbers
--& cjson.safe.decode_invalid_numbers cjson.safe.encode_empty_table_as_object cjson.safe.decode_array_with_array_mt
--& cjson.safe.encode_escape_forward_slash cjson.safe.encode_skip_unsupported_value_types
local safe = require "cjson.safe"
for _, name in ipairs { "encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision", "encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers", "encode_empty_table_as_object", "decode_array_with_array_mt", "encode_escape_forward_slash", "encode_skip_unsupported_value_types" } do
    ngx.say(pcall(safe[name], "wrong", 1, 2, 3, 4))
end
--> falsebad argument #1 to 'encode_sparse_array' (invalid option 'wrong')
--> falsebad argument #2 to 'encode_max_depth' (found too many arguments)
--> falsebad argument #2 to 'decode_max_depth' (found too many arguments)
--> falsebad argument #2 to 'encode_number_precision' (found too many arguments)
--> falsebad argument #2 to 'encode_keep_buffer' (found too many arguments)
--> falsebad argument #2 to 'encode_invalid_numbers' (found too many arguments)
--> falsebad argument #2 to 'decode_invalid_numbers' (found too many arguments)
--> falsebad argument #2 to 'encode_empty_table_as_object' (found too many arguments)
--> falsebad argument #2 to 'decode_array_with_array_mt' (found too many arguments)
--> falsebad argument #2 to 'encode_escape_forward_slash' (found too many arguments)
--> falsebad argument #2 to 'encode_skip_unsupported_value_types' (found too many arguments)

--# ffi.cdef ffi.new ffi.cast ffi.string ffi.copy ffi.fill ffi.typeof ffi.metatype ffi.gc ffi.sizeof ffi.istype
--& ffi.abi ffi.alignof ffi.errno ffi.load ffi.offsetof ffi.typeinfo
local ffi = require "ffi"
ffi.cdef "typedef struct { int a; char b[8]; } conformance_t; int atoi(const char *);"
local one = ffi.new "conformance_t"
ffi.fill(one.b, 8)
ffi.copy(one.b, "text")
local made = ffi.metatype("conformance_t", { __index = { twice = function(self) return self.a * 2 end } })
one.a = ffi.C.atoi("21")
ngx.say(one:twice(), ffi.string(one.b), ffi.sizeof(one), ffi.istype(made, one), ffi.string(ffi.cast("const char *", "abc"), 2), ffi.typeof("int[?]")(3)[2])
local freed
do local held = ffi.gc(ffi.new "int[1]", function() freed = true end) held = nil end
collectgarbage() collectgarbage()
ngx.say(freed, ffi.abi("64bit"), ffi.alignof(one), ffi.errno(2) ~= nil, ffi.errno(), type(ffi.load("c")), ffi.offsetof(one, "b"), ffi.typeinfo(ffi.typeof(one)).size)
--> 42text12trueab0
--> truetrue4true2userdata412
--! ffi.cdef ffi.new ffi.cast ffi.string ffi.copy ffi.fill ffi.typeof ffi.metatype ffi.gc ffi.sizeof ffi.istype
--& ffi.abi ffi.alignof ffi.errno ffi.load ffi.offsetof ffi.typeinfo
local ffi = require "ffi"
for _, name in ipairs { "cdef", "new", "cast", "string", "copy", "fill", "typeof", "metatype", "gc", "sizeof", "istype", "alignof", "load", "offsetof", "abi", "errno", "typeinfo" } do
    local ok, why = pcall(ffi[name], "no such type", true)
    ngx.say(name, " ", tostring(ok), " ", (tostring(why):gsub("0x%x+", "")))
end
--> cdef false declaration specifier expected near 'no'
--> new false declaration specifier expected near 'no'
--> cast false declaration specifier expected near 'no'
--> string true n
--> copy false bad argument #1 to '?' (cannot convert 'string' to 'void *')
--> fill false bad argument #1 to '?' (cannot convert 'string' to 'void *')
--> typeof false declaration specifier expected near 'no'
--> metatype false ngx.finalizer:69: declaration specifier expected near 'no'
--> gc false bad argument #1 to 'gc' (cdata expected, got string)
--> sizeof false declaration specifier expected near 'no'
--> istype false declaration specifier expected near 'no'
--> alignof false declaration specifier expected near 'no'
--> load false libno such type.so: cannot open shared object file: No such file or directory
--> offsetof false declaration specifier expected near 'no'
--> abi true false
--> errno false bad argument #1 to '?' (cannot convert 'string' to 'int')
--> typeinfo false bad argument #1 to '?' (cannot convert 'string' to 'int')

--# string.buffer.new string.buffer.encode string.buffer.decode
local buffer = require "string.buffer"
local one = buffer.new():put("a", 1):putf("%d", 2)
ngx.say(one:get(), " ", buffer.decode(buffer.encode({ a = 1 })).a)
--> a12 1
--! string.buffer.new string.buffer.encode string.buffer.decode
local buffer = require "string.buffer"
ngx.say(pcall(buffer.new, print)) ngx.say(pcall(buffer.encode, print)) ngx.say(pcall(buffer.decode, ""))
--> falsebad argument #1 to '?' (number expected, got function)
--> falsecannot serialize 'function'
--> falseunexpected end of buffer

--# table.new table.clear table.nkeys table.isempty table.isarray table.clone
local new, clear, nkeys, isempty, isarray, clone =
    require "table.new", require "table.clear", require "table.nkeys", require "table.isempty", require "table.isarray", require "table.clone"
local one = new(4, 2)
ngx.print(tostring(isempty(one)), " ")
one[1], one[2], one.a = 1, { 2 }, 3
local copy = clone(one)
ngx.print(nkeys(one), " ", tostring(isarray(one)), tostring(isarray({ 1, 2 })), " ", tostring(copy ~= one and copy[2] == one[2] and copy.a == 3), " ")
clear(one)
ngx.say(isempty(one))
--> true 3 falsetrue true true
--! table.new table.clear table.nkeys table.isempty table.isarray table.clone
for _, name in ipairs { "new", "clear", "nkeys", "isempty", "isarray", "clone" } do
    ngx.say(pcall(require("table." .. name), "x"))
end
--> falsebad argument #1 to '?' (number expected, got string)
--> falsebad argument #1 to '?' (table expected, got string)
--> falsebad argument #1 to 'nkeys' (table expected, got string)
--> falsebad argument #1 to 'isempty' (table expected, got string)
--> falsebad argument #1 to 'isarray' (table expected, got string)
--> falsebad argument #1 to 'clone' (table expected, got string)

--# tablepool.fetch tablepool.release
local pool = require "tablepool"
local one, other = pool.fetch("a", 4, 4), pool.fetch("a", 4, 4)
one.x, one[1] = 1, 2
pool.release("a", setmetatable(one, {}))
other.y = 5
pool.release("a", other, true)
ngx.say(pool.fetch("a") == other, " ", other.y, " ", pool.fetch("b") == one, " ", pool.fetch("a") == one)
ngx.say(next(one) == nil, " ", getmetatable(one) == nil, " ", pool.fetch("a") ~= one)
for index = 1, 300 do
    pool.release("c", { index }, true)
end
ngx.say(pool.fetch("c")[1])
--> true 5 false true
--> true true true
--> 200
--! tablepool.fetch tablepool.release
ngx.say(pcall(require("tablepool").release, "a", nil))
ngx.say(pcall(require("tablepool").fetch, "nothing released", "x"))
--> falseobject empty
--> falsebad argument #1 to '?' (number expected, got string)

--# resty.core.base.new_tab resty.core.base.clear_tab resty.core.base.get_string_buf
--& resty.core.base.get_string_buf_size resty.core.base.set_string_buf_size resty.core.base.get_size_ptr
--& resty.core.base.get_errmsg_ptr resty.core.base.get_request resty.core.base.ref_in_table
--& resty.core.base.allows_subsystem
local base, ffi = require "resty.core.base", require "ffi"
local one = base.new_tab(1, 1)
one.a = 1
base.clear_tab(one)
ngx.print(tostring(next(one)), " ")
local size = base.get_string_buf_size()
base.set_string_buf_size(size * 2)
ngx.print(base.get_string_buf_size() == size * 2, " ", base.get_string_buf(10) == base.get_string_buf(20), base.get_string_buf(10, true) == base.get_string_buf(10), " ")
base.set_string_buf_size(size)
base.get_size_ptr()[0] = 7
local references = {}
ngx.print(tonumber(base.get_size_ptr()[0]), " ", ffi.istype("char *[1]", base.get_errmsg_ptr()), " ", base.get_request() ~= nil, " ")
ngx.say(base.ref_in_table(references, "a"), base.ref_in_table(references, "b"), base.ref_in_table(references, nil), " ", base.allows_subsystem("http", "stream"))
--> nil true truefalse 7 true true 12-1 
--! resty.core.base.allows_subsystem
require("resty.core.base").allows_subsystem("stream")
--> case:1: unsupported subsystem: http
--! resty.core.base.new_tab resty.core.base.clear_tab resty.core.base.get_string_buf
--& resty.core.base.set_string_buf_size
local base = require "resty.core.base"
ngx.say(pcall(base.new_tab, "x")) ngx.say(pcall(base.clear_tab, 1)) ngx.say(pcall(base.get_string_buf, "x")) ngx.say(pcall(base.set_string_buf_size, "x"))
--> falsebad argument #1 to '?' (number expected, got string)
--> falsebad argument #1 to '?' (table expected, got number)
--> falsengx.resty.core.base:40: attempt to compare number with string
--> falsengx.resty.core.base:33: attempt to compare number with string
--~ resty.core.base.get_string_buf_size : has nothing to refuse, and answers nil or -1 for nothing
--~ resty.core.base.get_size_ptr : has nothing to refuse, and answers nil or -1 for nothing
--~ resty.core.base.get_errmsg_ptr : has nothing to refuse, and answers nil or -1 for nothing
--~ resty.core.base.get_request : has nothing to refuse, and answers nil or -1 for nothing
--~ resty.core.base.ref_in_table : has nothing to refuse, and answers nil or -1 for nothing

--# resty.core.ctx.get_ctx_table
local own = { a = 1 }
ngx.say(require("resty.core.ctx").get_ctx_table(own) == own, " ", ngx.ctx.a)
--> true 1
--~ resty.core.ctx.get_ctx_table : makes a table where there is none

--# resty.core.misc.register_ngx_magic_key_getter resty.core.misc.register_ngx_magic_key_setter
local misc = require "resty.core.misc"
local kept = 1
misc.register_ngx_magic_key_getter("conformance", function() return kept end)
misc.register_ngx_magic_key_setter("conformance", function(value) kept = value + 1 end)
ngx.conformance = 5
ngx.say(ngx.conformance)
--> 6
--~ resty.core.misc.register_ngx_magic_key_getter : is called when the key is read, and not before
--~ resty.core.misc.register_ngx_magic_key_setter : is called when the key is written, and not before

--# resty.core.request.set_req_header resty.core.response.set_resp_header
require("resty.core.request").set_req_header("X-A", "1")
require("resty.core.response").set_resp_header(nil, "X-B", "2")
ngx.say(ngx.var.http_x_a, ngx.header["X-B"])
--> 12
--! resty.core.request.set_req_header
require("resty.core.request").set_req_header(nil, "1")
--> case:1: bad 'name' argument: string expected, got nil
--! resty.core.response.set_resp_header
--@ timer
local _, why = pcall(require("resty.core.response").set_resp_header, nil, "X-B", "a")
return (why:gsub("^%S+ ", ""))
--> API disabled in the current context

--# resty.core.utils.str_replace_char
local replace = require("resty.core.utils").str_replace_char
ngx.say(replace("a-b-c", "-", "_"), " ", replace("abc", "-", "_"), " ", replace("a%b", "%", "."))
--> a_b_c abc a.b
--! resty.core.utils.str_replace_char
require("resty.core.utils").str_replace_char(nil, "-", "_")
--> ngx.resty.core.utils:57: bad argument #1 to 'find' (string expected, got nil)
