-- Regular expressions.

--# ngx.re.match
local found = ngx.re.match("hello, 1234 x", [[(?<word>[a-z]+), (\d+)(z)?]], "jo")
ngx.say(found[0], "|", found[1], "|", found.word, "|", found[2], "|", found[3])
local ctx = { pos = 3 }
ngx.say(ngx.re.match("aaa", "a", "", ctx)[0], ctx.pos, " ", ngx.re.match("b", "a"))
ngx.say(ngx.re.match("A\nb", "a.b", "is")[0] == "A\nb", " ", ngx.re.match("é", "^.$", "u")[0], " ", ngx.re.match("ab", "b", "a"))
--> hello, 1234|hello|hello|1234|false
--> a4 nil
--> true é nil
--! ngx.re.match
ngx.say(ngx.re.match("a", "(abc"))
ngx.re.match("a", "a", "y")
--> nilpcre2_compile() failed: missing closing parenthesis in "(abc"
--> case:2: unknown flag "y" (flags "y")
--! ngx.re.match
ngx.say(ngx.re.match(("a"):rep(100) .. "\200", "a.", "u"))
--> nilpcre_exec() failed: -3

--# ngx.re.find
ngx.say(ngx.re.find("hello, 1234", [[(\d)(\d)]], "jo"))
ngx.say(ngx.re.find("hello, 1234", [[(\d)(\d)]], "jo", nil, 2))
ngx.say(ngx.re.find("hello", "x"))
--> 89
--> 99
--> nil
--! ngx.re.find
ngx.say(ngx.re.find("a", "[a"))
ngx.say(ngx.re.find("a", "a", "", nil, 5))
ngx.re.find("a", "a", "y")
--> nilnilpcre2_compile() failed: missing terminating ] for character class in "[a"
--> nilnilnth out of bound
--> case:3: unknown flag "y" (flags "y")

--# ngx.re.gmatch
local parts = {}
for found in ngx.re.gmatch("a1,b2,,c3", [[([a-z])(\d)]], "jo") do
    parts[#parts + 1] = found[1] .. "=" .. found[2]
end
ngx.say(table.concat(parts, " "))
--> a=1 b=2 c=3
--! ngx.re.gmatch
ngx.say(ngx.re.gmatch("a", "(abc"))
ngx.re.gmatch("a", "a", "y")
--> nilpcre2_compile() failed: missing closing parenthesis in "(abc"
--> case:2: unknown flag "y" (flags "y")

--# ngx.re.sub ngx.re.gsub
ngx.say(ngx.re.sub("hello, 1234", [[(\d)]], "[$1$$$0${1}]"))
ngx.say(ngx.re.gsub("hello, 1234", [[(\d)(\d)]], function(m) return m[2] .. m[1] end, "jo"))
ngx.say(ngx.re.gsub("abc", "x", "y"))
ngx.say(ngx.re.gsub("abc", "", "-"))
--> hello, [1$11]2341
--> hello, 21432
--> abc0
--> -a-b-c-4
--! ngx.re.sub ngx.re.gsub
ngx.say(ngx.re.sub("a", "(a", "b"))
ngx.say(ngx.re.gsub("a", "a", "${1"))
ngx.say(pcall(ngx.re.sub, "a", "a", "b", "y"))
ngx.say(pcall(ngx.re.gsub, "a", "a", function() error("in it", 0) end))
--> nilnilpcre2_compile() failed: missing closing parenthesis in "(a"
--> nilnilfailed to compile the replacement template
--> falseunknown flag "y" (flags "y")
--> falsein it

--# ngx.re.split
local split = require("ngx.re").split
ngx.say(table.concat(split("a,b,,c", ","), "|"), " ", table.concat(split("a1b2c", [[(\d)]]), "|"), " ",
    table.concat(split("a,b,c", ",", nil, nil, 2), "|"), " ", table.concat(split("abc", ""), "|"))
--> a|b||c a|1|b|2|c a|b,c a|b|c
--! ngx.re.split
ngx.say(require("ngx.re").split("a", "(a"))
require("ngx.re").split("a", "a", nil, nil, nil, 1)
--> nilpcre2_compile() failed: missing closing parenthesis in "(a"
--> case:2: res is not a table

--# ngx.re.opt
-- In a thread of its own, which has not compiled anything yet.
ngx.say(ngx.run_worker_thread("jobs", "job", "opt"))
--> truea
--! ngx.re.opt
require("ngx.re").opt("none", 1)
--> case:1: unrecognized option name

--# resty.core.regex.set_buf_grow_ratio resty.core.regex.get_max_regex_cache_size
--& resty.core.regex.is_regex_cache_empty
local regex = require "resty.core.regex"
ngx.re.find("conformance", "c", "o")
ngx.say(regex.set_buf_grow_ratio(2), regex.get_max_regex_cache_size(), regex.is_regex_cache_empty())
--> nil1024false
--~ resty.core.regex.set_buf_grow_ratio : buffers grow by themselves, and the others take nothing
--~ resty.core.regex.get_max_regex_cache_size : buffers grow by themselves, and the others take nothing
--~ resty.core.regex.is_regex_cache_empty : buffers grow by themselves, and the others take nothing
