-- Answers: what is written, heads, and ends.

--# ngx.say
ngx.say("a", 1, 2.5, nil, true, { "b", { 3, "c" } }, ngx.null)
ngx.say()
ngx.say("end")
--> a12.5niltrueb3cnull
-->
--> end
--! ngx.say
ngx.say(function() end)
--> case:1: bad argument #1 to 'say' (string, number, boolean, nil, ngx.null, or array table expected, but got function)
--! ngx.say
ngx.say({ a = 1 })
--> case:1: bad argument #1 to 'say' (non-array table found)

--# ngx.print
ngx.print("a", "b")
ngx.print({ "c", { "d" } }, 1, false)
--> abcd1false
--! ngx.print
ngx.print("a", coroutine.create(print))
--> case:1: bad argument #2 to 'print' (string, number, boolean, nil, ngx.null, or array table expected, but got thread)
--! ngx.print
--@ timer
ngx.print("a")
--> case:1: API disabled in the context of ngx.timer

--# ngx.flush
ngx.say("a")
ngx.say(tostring(ngx.flush(true)))
ngx.say(tostring(ngx.flush()))
--> a
--> 1
--> 1
--! ngx.flush
ngx.say(ngx.flush("now"))
--> case:1: bad argument #1 to 'flush' (boolean expected, got string)
--! ngx.flush
ngx.flush(true, 1)
--> case:1: attempt to pass 2 arguments, but accepted 0 or 1

--# ngx.eof
ngx.print("a")
ngx.print(tostring(ngx.eof()))
ngx.print("not seen")
--> a
--! ngx.eof
ngx.eof(1)
--> case:1: no argument is expected
--! ngx.eof
--@ timer
ngx.eof()
--> case:1: API disabled in the context of ngx.timer

--# ngx.send_headers ngx.headers_sent
ngx.header["X-A"] = "1"
ngx.status = 201
local before = ngx.headers_sent
local ok = ngx.send_headers()
ngx.header["X-B"] = "too late"
ngx.say(before, ok, ngx.headers_sent)
--= 201
--= X-A: 1
--= X-B:
--> false1true
--log attempt to set ngx.header.HEADER after sending out response headers
--! ngx.send_headers ngx.headers_sent
--@ timer
return select(2, pcall(ngx.send_headers)), select(2, pcall(function() return ngx.headers_sent end))
--> API disabled in the context of ngx.timer case:1: API disabled in the current context

--# ngx.status
ngx.status = 404
ngx.say(ngx.status)
--= 404
--> 404
--! ngx.status
local ok, why = pcall(function() ngx.status = "x" end)
ngx.status = 201
ngx.say(ok, " ", why, " ", ngx.status)
ngx.status = 404
--= 201
--log attempt to set ngx.status after sending out response headers
--> false case:1: bad status: x 201
--! ngx.status
--@ timer
return ngx.status
--> case:1: API disabled in the current context

--# ngx.header
ngx.header["X-A"] = { "1", "2" }
ngx.header.content_type = "text/x"
ngx.header["X-B"] = "gone"
ngx.header["X-B"] = nil
ngx.say(table.concat(ngx.header["X-A"], "|"), " ", ngx.header["Content-Type"], " ", ngx.header.x_b)
--= Content-Type: text/x
--= X-B:
--> 1|2 text/x nil
--! ngx.header
ngx.header["X-A"] = "a\r\nSet-Cookie: b"
ngx.say(ngx.header["X-A"])
--> a%0D%0ASet-Cookie: b
--! ngx.header
ngx.header.content_length = "much"
--> case:1: invalid header value
--! ngx.header
--@ timer
ngx.header["X-A"] = 1
--> case:1: API disabled in the current context

--# ngx.resp.get_headers
ngx.header["X-A"], ngx.header["X-B"] = { "1", "2" }, "3"
local headers = ngx.resp.get_headers()
ngx.say(table.concat(headers["x-a"], "|"), " ", headers.x_b, " ", headers["X-B"], " ", rawget(ngx.resp.get_headers(0, true), "X-B"))
ngx.say(select(2, ngx.resp.get_headers(1)))
--> 1|2 3 3 3
--> truncated
--! ngx.resp.get_headers
--@ timer
ngx.resp.get_headers()
--> case:1: API disabled in the current context

--# ngx.resp.add_header
local resp = require "ngx.resp"
ngx.header["X-A"] = "1"
resp.add_header("X-A", { "2", 3 })
ngx.resp.add_header("X-A", "4")
ngx.say(table.concat(ngx.header["X-A"], "|"))
--> 1|2|3|4
--! ngx.resp.add_header
ngx.resp.add_header("X-A")
--> case:1: invalid header value

--# ngx.resp.set_status
require("ngx.resp").set_status(404, "Gone Fishing")
ngx.say(ngx.status)
--= 404
--> 404
--! ngx.resp.set_status
require("ngx.resp").set_status("x")
--> case:1: bad status: x

--# ngx.resp.bypass_if_checks
ngx.say(require("ngx.resp").bypass_if_checks())
-->
--! ngx.resp.bypass_if_checks
--@ timer
require("ngx.resp").bypass_if_checks()
--> case:1: API disabled in the current context

--# ngx.exit
--@ phase access
ngx.status = 403
ngx.print("no")
ngx.exit(403)
--= 403
--> no
--# ngx.exit
--@ phase access
ngx.exit(ngx.OK)
--> content
--! ngx.exit
ngx.exit("x")
--> case:1: bad argument #1 to 'exit' (number expected, got string)
--! ngx.exit
ngx.exit(ngx.AGAIN)
--> case:1: bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE
--! ngx.exit
ngx.exit(1000)
--> case:1: bad argument #1 to 'exit' (no such status: 1000)

--# ngx.redirect
ngx.redirect("/there?a=1", 301)
--= 301
--= Location: /there?a=1
--! ngx.redirect
ngx.redirect("/there", 200)
--> case:1: only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed
--! ngx.redirect
ngx.redirect("/a\nb")
--> case:1: unsafe byte "0x0a" in redirect uri "/a\x0Ab"
--! ngx.redirect
ngx.say("sent") ngx.flush(true)
ngx.redirect("/there")
--> sent
--> case:2: attempt to call ngx.redirect after sending out the headers

--# ngx.exec
ngx.exec("/peer/there", { a = "1" })
--> GET /peer/there a=1 
--# ngx.exec
ngx.exec("/inner")
--> true false
--! ngx.exec
ngx.exec("")
--> case:1: The uri argument is empty
--! ngx.exec
ngx.exec()
--> case:1: expecting one or two arguments, but got 0
--! ngx.exec
ngx.exec("/../../etc")
--> case:1: unsafe uri

--# ngx.get_phase ngx.get_raw_phase
ngx.say(ngx.get_phase(), " ", type(ngx.get_raw_phase()))
--> content number
--# ngx.get_phase
--@ timer
return ngx.get_phase()
--> timer
--# ngx.get_phase
--@ phase headerFilter
ngx.header["X-Phase"] = ngx.get_phase()
--= X-Phase: header_filter
--~ ngx.get_phase ngx.get_raw_phase : takes nothing

--# ngx.arg
--@ phase bodyFilter
ngx.arg[1] = ngx.arg[1]:upper() .. (ngx.arg[2] and "." or "")
--> CONTENT.
--! ngx.arg
ngx.say(ngx.arg[1])
--> case:1: API disabled in the context of content_by_lua*

--# ngx.ctx
--@ phase access
ngx.ctx.seen = "access"
--@ route {"lua": {"content": "ngx.print(ngx.ctx.seen)"}}
--> access
--! ngx.ctx
ngx.ctx = "text"
--> case:1: ctx should be a table while getting a string

--# ngx.log
ngx.log(ngx.WARN, "conformance ", 1, nil, true, setmetatable({}, { __tostring = function() return " as text" end }))
ngx.say("logged")
--log [warn]
--log [lua] case:1: conformance 1niltrue as text
--> logged
--! ngx.log
ngx.log("warn", "a")
--> case:1: bad argument #1 to 'log' (number expected, got string)
--! ngx.log
ngx.log(99, "a")
--> case:1: bad argument #1 to 'log' (bad log level: 99)
--! ngx.log
ngx.log(ngx.WARN, {})
--> case:1: bad argument #1 to 'log' (expected table to have __tostring metamethod)

--# print
print("conformance ", "prints")
ngx.say("printed")
--log [lua] case:1: conformance prints
--> printed
--! print
print({})
--> case:1: bad argument #1 to 'log' (expected table to have __tostring metamethod)

--# ngx.errlog.raw_log ngx.errlog.get_sys_filter_level
local errlog = require "ngx.errlog"
errlog.raw_log(ngx.ERR, "conformance raw")
ngx.say(errlog.get_sys_filter_level() == ngx.INFO)
--log [error]
--log conformance raw
--> true
--! ngx.errlog.raw_log
require("ngx.errlog").raw_log("warn", "a")
--> case:1: bad argument #1 to 'raw_log' (must be a number)
--! ngx.errlog.raw_log
require("ngx.errlog").raw_log(99, "a")
--> case:1: bad log level
--~ ngx.errlog.get_sys_filter_level : takes nothing

--# ngx.errlog.get_logs ngx.errlog.set_filter_level
local errlog = require "ngx.errlog"
errlog.get_logs(1000)
ngx.say(errlog.set_filter_level(ngx.WARN))
ngx.log(ngx.WARN, "conformance kept")
ngx.log(ngx.NOTICE, "conformance dropped")
local logs = errlog.get_logs(10)
ngx.say(#logs, " ", logs[1] == ngx.WARN, " ", math.abs(logs[2] - ngx.now()) < 10, " ", logs[3]:match("conformance %w+"))
errlog.set_filter_level(ngx.DEBUG)
--> true
--> 3 true true conformance kept
--! ngx.errlog.set_filter_level
ngx.say(require("ngx.errlog").set_filter_level())
require("ngx.errlog").set_filter_level("warn")
--> nilmissing "level" argument
--> case:2: bad argument #1 to 'set_filter_level' (number expected, got string)
--! ngx.errlog.get_logs
require("ngx.errlog").get_logs("many")
--> ngx.errlog:56: 'for' limit must be a number
