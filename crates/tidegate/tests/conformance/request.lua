-- Requests: heads, arguments, bodies, variables, and requests within them.

--# ngx.req.get_method ngx.req.set_method
--@ request PUT
local before = ngx.req.get_method()
ngx.req.set_method(ngx.HTTP_DELETE)
ngx.say(before, " ", ngx.req.get_method(), " ", ngx.var.request_method)
--> PUT DELETE DELETE
--! ngx.req.set_method
ngx.req.set_method("GET")
--> case:1: bad method number
--! ngx.req.set_method
ngx.req.set_method(3)
--> case:1: unsupported HTTP method: 3
--! ngx.req.get_method
--@ timer
ngx.req.get_method()
--> case:1: API disabled in the current context

--# ngx.req.get_headers ngx.req.set_header ngx.req.clear_header ngx.req.add_header
--@ header X-One: 1
--@ header X-Two: 2
ngx.req.set_header("X-One", { "a", "b" })
ngx.req.clear_header("x-two")
require("ngx.req").add_header("X-Three", "c")
ngx.req.add_header("X-Three", { "d", 5 })
local headers = ngx.req.get_headers()
ngx.say(table.concat(headers["x-one"], "|"), " ", tostring(headers.x_two), " ", table.concat(headers.X_Three, "|"))
ngx.say(select(2, ngx.req.get_headers(1)), " ", tostring(rawget(ngx.req.get_headers(0, true), "X-Three") ~= nil))
--> a|b nil c|d|5
--> truncated true
--! ngx.req.get_headers
--@ timer
ngx.req.get_headers()
--> case:1: API disabled in the current context
--! ngx.req.set_header
ngx.req.set_header(nil, "a")
--> case:1: bad 'name' argument: string expected, got nil
--# ngx.req.set_header ngx.req.add_header ngx.req.get_headers
ngx.req.set_header("", "left out")
ngx.req.add_header(5, 6)
ngx.req.add_header(5, 7)
ngx.say(table.concat(ngx.req.get_headers()[5], "|"), " ", tostring(ngx.req.get_headers()[""]), " ", tostring(ngx.req.get_headers()[{}]))
--> 6|7 nil nil
--! ngx.req.clear_header
ngx.req.clear_header()
--> case:1: bad 'name' argument: string expected, got nil
--! ngx.req.add_header
ngx.req.add_header("X-A", {})
--> case:1: bad 'value' argument: non-empty table expected
--! ngx.req.add_header
ngx.req.add_header("X-A")
--> case:1: bad 'value' argument: string or table expected, got nil

--# ngx.req.get_uri_args ngx.req.set_uri_args
--@ request GET ?a=1&b=%20x&a=2&c&d=
local args = ngx.req.get_uri_args()
ngx.say(table.concat(args.a, "|"), "[", args.b, "]", tostring(args.c), "[", args.d, "]")
ngx.say(select(2, ngx.req.get_uri_args(1)), " ", ngx.req.get_uri_args(0, { old = 1 }).old)
ngx.req.set_uri_args({ e = { 1, "y z" } })
ngx.say(ngx.var.args)
ngx.req.set_uri_args("f=1 2")
ngx.say(ngx.var.args)
--> 1|2[ x]true[]
--> truncated nil
--> e=1&e=y%20z
--> f=1%202
--! ngx.req.set_uri_args
ngx.req.set_uri_args(true)
--> case:1: bad argument #1 to 'set_uri_args' (string, number, or table expected, but got boolean)
--! ngx.req.set_uri_args
ngx.req.set_uri_args({ a = print })
--> case:1: attempt to use function as query arg value
--! ngx.req.get_uri_args
--@ timer
ngx.req.get_uri_args()
--> case:1: API disabled in the current context

--# ngx.req.set_uri
ngx.req.set_uri("/other path", false)
ngx.say(ngx.var.uri)
--> /other path
--# ngx.req.set_uri
--@ phase rewrite
ngx.req.set_uri("/peer/jumped", true)
--> GET /peer/jumped  
--! ngx.req.set_uri
--@ phase rewrite
local waits = ngx.thread.spawn(ngx.location.capture, "/peer")
local ok, why = pcall(ngx.req.set_uri, "/peer/jumped", true)
ngx.thread.wait(waits)
ngx.say(ok, " ", why)
ngx.exit(200)
--> false attempt to abort with pending subrequests
--! ngx.req.set_uri
ngx.req.set_uri("")
--> case:1: attempt to use zero-length uri
--! ngx.req.set_uri
ngx.req.set_uri("/a", 1)
--> case:1: bad argument #2 to 'set_uri' (boolean expected, got number)
--! ngx.req.set_uri
ngx.req.set_uri("/a\nb")
--> case:1: unsafe byte "0x0a" in uri "/a%0Ab" (maybe you want to set the 'binary' argument?)
--! ngx.req.set_uri
ngx.req.set_uri("/a", true)
--> case:1: API disabled in the context of content_by_lua*

--# ngx.req.http_version ngx.req.start_time ngx.req.raw_header ngx.req.is_internal ngx.is_subrequest
--@ header X-One: 1
local started = ngx.req.start_time()
repeat until tonumber(ngx.var.msec) > started
ngx.say(ngx.req.http_version(), " ", ngx.req.start_time() == started, " ", math.abs(ngx.now() - started) < 10, " ", ngx.req.is_internal(), " ", ngx.is_subrequest)
ngx.say(ngx.req.raw_header():match("^GET /case/%d+ HTTP/1.1\r\n") ~= nil, " ", ngx.req.raw_header(true):match("X%-One: 1\r\n") ~= nil,
    " ", ngx.req.raw_header(true):match("HTTP"))
--> 1.1 true true false false
--> true true nil
--! ngx.req.http_version ngx.req.start_time ngx.req.raw_header ngx.req.is_internal ngx.is_subrequest
--@ timer
local told = {}
for _, name in ipairs { "http_version", "start_time", "raw_header", "is_internal" } do
    told[#told + 1] = select(2, pcall(ngx.req[name])):gsub("^ngx%S+ ", "")
end
told[#told + 1] = select(2, pcall(function() return ngx.is_subrequest end))
return table.concat(told, "; ")
--> API disabled in the current context; API disabled in the current context; API disabled in the context of ngx.timer; API disabled in the current context; case:5: API disabled in the current context

--# ngx.req.read_body ngx.req.get_body_data ngx.req.get_body_file
--@ request POST
--@ body a text
ngx.say(ngx.req.get_body_data())
ngx.req.read_body()
ngx.say(ngx.req.get_body_data(), " ", ngx.req.get_body_data(3), " ", ngx.req.get_body_file())
--> nil
--> a text a t nil
--! ngx.req.read_body
ngx.req.read_body(1)
--> case:1: expecting 0 arguments but seen 1
--! ngx.req.get_body_data
ngx.req.get_body_data(1, 2)
--> case:1: expecting 0 or 1 arguments but seen 2
--! ngx.req.get_body_file
ngx.req.get_body_file(1)
--> case:1: expecting 0 arguments but seen 1

--# ngx.req.get_post_args
--@ request POST
--@ header Content-Type: application/x-www-form-urlencoded
--@ body a=1&b=2&a=3
ngx.req.read_body()
local args = ngx.req.get_post_args()
ngx.say(table.concat(args.a, "|"), " ", args.b, " ", select(2, ngx.req.get_post_args(1)))
--> 1|3 2 truncated
--! ngx.req.get_post_args
--@ request POST
--@ body a=1
ngx.req.get_post_args()
--> case:1: no request body found; maybe you should turn on lua_need_request_body?

--# ngx.req.discard_body
--@ request POST
--@ body a text
ngx.req.discard_body()
ngx.req.read_body()
ngx.say(ngx.req.get_body_data())
--> nil
--! ngx.req.discard_body
ngx.req.discard_body(1)
--> case:1: expecting 0 arguments but seen 1

--# ngx.req.set_body_data
--@ request POST
--@ body old
--@ phase access
ngx.req.read_body()
ngx.req.set_body_data("new")
--@ route {"upstream": "echo"}
--> POST /case new
--# ngx.req.set_body_file
--@ request POST
--@ body old
ngx.req.read_body()
ngx.req.set_body_file("{dir}/upload.txt")
ngx.say(ngx.req.get_body_file() == "{dir}/upload.txt", ngx.req.get_body_data())
--> truenil
--! ngx.req.set_body_data
ngx.req.set_body_data("new")
--> case:1: request body not read yet
--! ngx.req.set_body_data
--@ request POST
--@ body old
ngx.req.read_body()
ngx.req.set_body_data({})
--> case:2: bad argument #1 to 'set_body_data' (string expected, got table)
--! ngx.req.set_body_file
--@ request POST
--@ body old
ngx.req.read_body()
local ok, why = pcall(ngx.req.set_body_file, "{dir}/none.txt")
ngx.say(ok, (why:gsub("{dir}", "")))
--> falseopen() "/none.txt" failed

--# ngx.req.init_body ngx.req.append_body ngx.req.finish_body
--@ request POST
--@ body old
ngx.req.read_body()
ngx.req.init_body(64)
ngx.req.append_body("one ")
ngx.req.append_body("two")
ngx.req.finish_body()
ngx.say(ngx.req.get_body_data(), " ", ngx.var.content_length)
--> one two 7
--! ngx.req.init_body
--@ request POST
--@ body old
ngx.req.read_body()
ngx.req.init_body(-1)
--> case:2: bad size argument: -1
--! ngx.req.append_body
--@ request POST
--@ body old
ngx.req.read_body()
ngx.req.append_body("one")
--> case:2: request_body not initialized
--! ngx.req.finish_body
ngx.req.finish_body()
--> case:1: request_body not initialized

--# ngx.req.socket
--@ request POST
--@ body one two
local socket = ngx.req.socket()
ngx.say(socket:receive(4), "|", socket:receive(3), "|", select(2, socket:receive(1)))
--> one |two|closed
--! ngx.req.socket
ngx.say(ngx.req.socket())
ngx.req.socket(true, 1)
--> nilno body
--> case:2: expecting 0 or 1 argument, but got 2

--# ngx.var
--@ request GET ?a=1
--@ header Authorization: Basic dXNlcjpwYXNz
--@ header X-Forwarded-For: 192.0.2.1
ngx.var.settable = "now"
ngx.say(ngx.var.settable, " ", ngx.var.arg_a, " ", ngx.var.nothing, " ", ngx.var.request_method, " ", ngx.var.remote_addr)
ngx.var.settable = nil
ngx.say(ngx.var.settable)
ngx.say(ngx.var.binary_remote_addr == "\127\0\0\1", " ", ngx.var.remote_user, " ", ngx.var.proxy_add_x_forwarded_for, " ", ngx.var.server_name)
local date, zone = ngx.localtime(), ngx.var.time_iso8601
ngx.say(zone:sub(1, 10) == date:sub(1, 10), #zone, " ", ngx.var.time_local:match("^%d%d/%a%a%a/%d%d%d%d:%d%d:%d%d:%d%d [+-]%d%d%d%d$") ~= nil, " ",
    tonumber(ngx.var.request_length) > 40, " ", #ngx.var.hostname > 0, " ", ngx.var.nginx_version)
--> now 1 nil GET 127.0.0.1
--> nil
--> true user 192.0.2.1, 127.0.0.1 localhost
--> true25 true true true 1.27.1
--! ngx.var
ngx.var.nothing = 1
--> case:1: variable "nothing" not found for writing; maybe it is a built-in variable that is not changeable or you forgot to use "set $nothing '';" in the config file to define it first
--! ngx.var
ngx.var.request_method = "PUT"
--> case:1: variable "request_method" not changeable
--! ngx.var
ngx.var.settable = {}
--> case:1: bad value type: string, number, or nil expected

--# ngx.location.capture
local answer = ngx.location.capture("/peer/in", { method = ngx.HTTP_POST, body = "text", args = { a = 1 } })
ngx.say(answer.status, " ", answer.header["X-Peer"], " ", answer.body, " ", answer.truncated)
ngx.say(ngx.location.capture("/inner").body)
--> 200 yes POST /peer/in a=1 text false
--> true true
--! ngx.location.capture
ngx.location.capture()
--> case:1: expecting one or two arguments
--! ngx.location.capture
ngx.location.capture("/peer", { method = 3 })
--> case:1: unsupported HTTP method: 3
--! ngx.location.capture
ngx.location.capture("/peer", 1)
--> case:1: expecting table as the 2nd argument for subrequest 0, but got number

--# ngx.location.capture_multi
local one, two = ngx.location.capture_multi({ { "/peer/1" }, { "/none", { args = "b=2" } } })
ngx.say(one.status, " ", one.body, " ", two.status)
--> 200 GET /peer/1   404
--! ngx.location.capture_multi
ngx.location.capture_multi({})
--> case:1: at least one subrequest should be specified
--! ngx.location.capture_multi
ngx.location.capture_multi({ 1 })
--> case:1: the query argument 0 is not a table, but a number

--# ngx.balancer.set_current_peer ngx.balancer.set_more_tries ngx.balancer.set_timeouts ngx.balancer.enable_keepalive
--& ngx.balancer.get_last_failure ngx.balancer.recreate_request ngx.balancer.set_upstream_tls
--@ phase balancer
--@ route {"upstream": "echo"}
local balancer = require "ngx.balancer"
local failed, status = balancer.get_last_failure()
if not failed then
    assert(balancer.set_more_tries(1))
    assert(balancer.set_current_peer("127.0.0.1", {deadPort}))
    return
end
assert(failed == "failed" and status == 502)
assert(balancer.set_current_peer("127.0.0.1", {upstreamPort}))
assert(balancer.set_timeouts(1, 2.5, nil))
assert(balancer.enable_keepalive(10, 5))
assert(balancer.set_upstream_tls(false))
ngx.req.set_header("X-Late", "1")
assert(balancer.recreate_request())
--> GET /case 
--! ngx.balancer.set_current_peer ngx.balancer.set_more_tries ngx.balancer.set_timeouts ngx.balancer.enable_keepalive
--& ngx.balancer.get_last_failure ngx.balancer.recreate_request ngx.balancer.set_upstream_tls
--& ngx.balancer.bind_to_local_addr
local balancer = require "ngx.balancer"
ngx.say(balancer.set_current_peer("127.0.0.1", 80))
ngx.say(balancer.set_more_tries(1))
ngx.say(balancer.set_timeouts(1, 1, 1))
ngx.say(balancer.enable_keepalive())
ngx.say(balancer.get_last_failure())
ngx.say(balancer.recreate_request())
ngx.say(balancer.set_upstream_tls(true))
ngx.say(balancer.bind_to_local_addr("127.0.0.1"))
for name, argument in pairs { set_current_peer = 1, set_more_tries = -1, set_timeouts = -1, enable_keepalive = -1, bind_to_local_addr = 1 } do
    ngx.log(ngx.INFO, name, ": ", select(2, pcall(balancer[name], argument)))
end
--> nilno upstream found
--> nilno upstream found
--> nilno upstream found
--> nilno upstream found
--> nilnilno upstream found
--> nilno upstream found
--> nilno upstream found
--> nilno upstream found
--log set_current_peer: bad argument #1 to 'set_current_peer' (string expected, got number)
--log set_more_tries: bad argument #1 to 'set_more_tries' (expected >= 0)
--log set_timeouts: bad connect timeout
--log enable_keepalive: bad argument #1 to 'enable_keepalive' (expected >= 0)
--log bind_to_local_addr: bad argument #1 to 'bind_to_local_addr' (string expected, got number)
--# ngx.balancer.bind_to_local_addr
--@ phase balancer
--@ route {"upstream": "echo", "lua": {"headerFilter": "ngx.header['X-Why'] = ngx.ctx.why"}}
local balancer = require "ngx.balancer"
local _, why = balancer.bind_to_local_addr("localhost")
ngx.ctx.why = why .. ", " .. tostring(balancer.bind_to_local_addr("127.0.0.1"))
--= X-Why: invalid addr localhost, true
