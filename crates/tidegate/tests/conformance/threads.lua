-- What runs beside and later: light threads, coroutines, timers, semaphores, threads of the system, processes.

--# ngx.sleep
local before = ngx.now()
ngx.sleep(0.02)
ngx.update_time()
ngx.say(ngx.now() - before >= 0.019)
--> true
--! ngx.sleep
ngx.sleep(-1)
--> case:1: invalid sleep duration "-1"
--! ngx.sleep
ngx.sleep("soon")
--> case:1: bad argument #1 to 'sleep' (number expected, got string)

--# ngx.thread.spawn ngx.thread.wait ngx.thread.kill
local function late(value) ngx.sleep(0.01) return value, "more" end
local one, two = ngx.thread.spawn(late, "a"), ngx.thread.spawn(function(x) return x end, "b")
ngx.say(ngx.thread.wait(one, two))
ngx.say(ngx.thread.wait(one))
ngx.say(ngx.thread.wait(ngx.thread.spawn(error, "no", 0)))
local three = ngx.thread.spawn(ngx.sleep, 60)
ngx.say(ngx.thread.kill(three), " ", ngx.thread.kill(three))
--> trueb
--> trueamore
--> falseno
--> 1 nilalready waited or killed
--! ngx.thread.spawn
ngx.thread.spawn("text")
--> case:1: bad argument #1 to 'spawn' (Lua function expected)
--! ngx.thread.wait
ngx.thread.wait()
--> case:1: at least one coroutine should be specified
--! ngx.thread.wait
ngx.thread.wait(coroutine.create(print))
--> case:1: attempt to wait on a coroutine that is not a user thread
--! ngx.thread.kill
ngx.say(ngx.thread.kill(coroutine.create(print)))
ngx.thread.kill(1)
--> nilnot user thread
--> case:2: bad argument #1 to 'kill' (lua thread expected)

--# coroutine.create coroutine.resume coroutine.yield coroutine.wrap coroutine.running coroutine.status
--& coroutine.isyieldable
local co = coroutine.create(function(a)
    local b = coroutine.yield(a + 1)
    ngx.sleep(0.001)
    return b, coroutine.status(coroutine.running()), coroutine.isyieldable()
end)
ngx.say(coroutine.resume(co, 1))
ngx.say(coroutine.status(co))
ngx.say(coroutine.resume(co, "b"))
ngx.say(coroutine.status(co))
ngx.say(coroutine.wrap(function(...) return select("#", ...), coroutine.yield("not last") end)(1, 2))
--> true2
--> suspended
--> truebrunningtrue
--> dead
--> not last
--! coroutine.create coroutine.wrap
ngx.say(pcall(coroutine.create, 1))
ngx.say(pcall(coroutine.wrap, "x"))
ngx.say(pcall(coroutine.wrap(function() error("in it", 0) end)))
--> falsebad argument #1 to '?' (function expected, got number)
--> falsebad argument #1 to 'wrap' (function expected, got string)
--> falsein it
--! coroutine.resume coroutine.status
local co = coroutine.wrap(function() end)
local dead = coroutine.create(function() end)
coroutine.resume(dead)
ngx.say(coroutine.resume(dead))
ngx.say(coroutine.resume(coroutine.running()))
ngx.say(pcall(coroutine.resume, 1))
ngx.say(pcall(coroutine.status, 1))
ngx.say(coroutine.resume(coroutine.create(function() error({ 1 }) end)))
--> falsecannot resume dead coroutine
--> falsecannot resume running coroutine
--> falsebad argument #1 to 'resume' (coroutine expected)
--> falsebad argument #1 to 'status' (coroutine expected)
--> false1
--~ coroutine.yield coroutine.running coroutine.isyieldable : takes anything

--# ngx.timer.at ngx.timer.every ngx.timer.running_count ngx.timer.pending_count
local done = require("ngx.semaphore").new()
local told = {}
ngx.timer.at(0, function(premature, a, b)
    told[1] = tostring(premature) .. a .. tostring(b) .. tostring(ngx.timer.running_count() >= 1)
    done:post()
end, "x", nil)
done:wait(10)
local count = 0
ngx.say(ngx.timer.every(0.005, function()
    count = count + 1
    if count == 3 then done:post() end
end))
ngx.say(ngx.timer.pending_count() >= 1)
done:wait(10)
ngx.say(told[1], " ", count >= 3)
--> 1
--> true
--> falsexniltrue true
--! ngx.timer.at
ngx.timer.at(0)
--> case:1: expecting at least 2 arguments but got 1
--! ngx.timer.at
ngx.timer.at(-1, print)
--> case:1: bad argument #1 to 'at' (delay must not be negative)
--! ngx.timer.at
ngx.timer.at("x", print)
--> case:1: bad argument #1 to 'at' (number expected, got string)
--! ngx.timer.at
ngx.timer.at(0, "x")
--> case:1: bad argument #2 to 'at' (Lua function expected)
--! ngx.timer.every
ngx.timer.every(0, print)
--> case:1: delay cannot be zero
--~ ngx.timer.running_count ngx.timer.pending_count : takes nothing

--# ngx.semaphore.new semaphore:wait semaphore:post semaphore:count
local one = require("ngx.semaphore").new(1)
ngx.say(one:count(), one:wait(0), one:count(), " ", one:wait(0.001))
local waits = ngx.thread.spawn(function() return one:wait(10) end)
ngx.say(one:count(), one:post(2), " ", one:count())
ngx.say(ngx.thread.wait(waits))
ngx.say(one:count())
--> 1true0 niltimeout
--> -1true 1
--> truetrue
--> 1
--# semaphore:wait semaphore:post
local one = require("ngx.semaphore").new()
local waits = ngx.thread.spawn(function() return one:wait(10) end)
one:post(2)
ngx.say(one:wait(0), " ", one:count())
ngx.say(ngx.thread.wait(waits))
ngx.say(one:wait(0), " ", one:count())
--> nil 1
--> truetrue
--> true 0
--! ngx.semaphore.new
require("ngx.semaphore").new(-1)
--> case:1: no negative number
--! semaphore:wait
require("ngx.semaphore").new():wait()
--> case:1: bad argument #2 to 'wait' (number expected, got nil)
--! semaphore:wait
require("ngx.semaphore").new():wait(-1)
--> case:1: no negative number
--! semaphore:post
require("ngx.semaphore").new():post(0)
--> case:1: positive number required
--! semaphore:count
local one = require("ngx.semaphore").new()
one.count({})
--> case:2: not a semaphore instance

--# ngx.run_worker_thread
ngx.say(ngx.run_worker_thread("jobs", "job", "add", 1, 2))
--> true3sum
--! ngx.run_worker_thread
ngx.say(ngx.run_worker_thread("jobs", "job", "fail"))
ngx.say((select(2, ngx.run_worker_thread("jobs", "none", "f")):match("^[^\n]*")))
ngx.say(ngx.run_worker_thread("jobs", "job", "none"))
ngx.say(ngx.run_worker_thread("none", "job", "add"))
ngx.say(ngx.run_worker_thread("jobs", "job", "add", print))
--> falseno job
--> module 'none' not found:
--> falseattempt to call a nil value
--> falsethread pool none not found
--> falseunsupported Lua type: LUA_TFUNCTION in the argument

--# ngx.on_abort
ngx.shared.notes:delete("aborted")
local socket = ngx.socket.tcp()
socket:connect("127.0.0.1", ngx.var.server_port)
socket:send("GET /abort HTTP/1.1\r\nHost: a\r\n\r\n")
repeat ngx.sleep(0.001) until ngx.shared.notes:get("watched")
socket:close()
for _ = 1, 10000 do
    if ngx.shared.notes:get("aborted") then break end
    ngx.sleep(0.001)
end
ngx.say(ngx.shared.notes:get("watched"), ngx.shared.notes:get("aborted"))
--> 1true
--! ngx.on_abort
ngx.on_abort(1)
--> case:1: bad argument #1 to 'on_abort' (Lua function expected)
--! ngx.on_abort
ngx.on_abort(print)
ngx.say(ngx.on_abort(print))
--> nilduplicate call

--# ngx.pipe.spawn process:stdout_read_line process:stdout_read_all process:stderr_read_all process:pid process:wait
local process = require("ngx.pipe").spawn({ "/bin/sh", "-c", "echo one; echo $WORD; echo bad >&2; exit 3" }, { environ = { "WORD=two" } })
ngx.say(process:pid() > 1, " ", process:stdout_read_line(), " ", process:stdout_read_all(), process:stderr_read_all())
ngx.say(process:wait())
--> true one two
--> bad
-->
--> falseexit3
--# process:write process:shutdown process:stdout_read_bytes process:stdout_read_any process:set_timeouts process:kill
local process = require("ngx.pipe").spawn({ "cat" })
process:set_timeouts(1000, 1000, 1000, 1000)
ngx.say(process:write("a text") , " ", process:stdout_read_bytes(2), "|", process:stdout_read_any(10))
ngx.say(process:shutdown("stdin"), " ", process:wait())
local sleeper = require("ngx.pipe").spawn({ "sleep", "60" })
ngx.say(sleeper:kill(9), " ", sleeper:wait())
--> 6 a |text
--> true trueexit0
--> true falsesignal9
--# process:stderr_read_line process:stderr_read_bytes process:stderr_read_any
local process = require("ngx.pipe").spawn("printf 'line\\nabcdef' >&2")
ngx.say(process:stderr_read_line(), " ", process:stderr_read_bytes(2), " ", process:stderr_read_any(10))
--> line ab cdef
--! ngx.pipe.spawn
local spawn = require("ngx.pipe").spawn
ngx.say(pcall(spawn, 1)) ngx.say(pcall(spawn, {})) ngx.say(pcall(spawn, { "true" }, { environ = { "no" } }))
ngx.say((spawn({ "/none/at/all" })), " ", (select(2, spawn({ "/none/at/all" }))))
--> falsebad args arg: table expected, got number
--> falsebad args arg: non-empty table expected
--> falsebad value at index 1 of environ option: 'name=[value]' format expected, got 'no'
--> nil failed to start the process: No such file or directory (os error 2)
--! process:stdout_read_line process:stdout_read_bytes process:stdout_read_any process:stdout_read_all
--& process:stderr_read_line process:stderr_read_bytes process:stderr_read_any process:stderr_read_all process:wait
local process = require("ngx.pipe").spawn({ "sleep", "60" }, { merge_stderr = true })
process:set_timeouts(nil, 5, 5, 5)
ngx.say(process:stdout_read_line()) ngx.say(process:stdout_read_bytes(3)) ngx.say(process:stdout_read_any(3)) ngx.say(process:stdout_read_all())
ngx.say(process:stderr_read_line()) ngx.say(process:stderr_read_bytes(3)) ngx.say(process:stderr_read_any(3)) ngx.say(process:stderr_read_all())
ngx.say(process:wait())
ngx.say(pcall(process.stdout_read_bytes, process, -1)) ngx.say(pcall(process.stderr_read_any, process, 0))
process:kill(9)
--> niltimeout
--> niltimeout
--> niltimeout
--> niltimeout
--> nilmerged to stdout
--> nilmerged to stdout
--> nilmerged to stdout
--> nilmerged to stdout
--> niltimeout
--> falsebad len argument
--> falsebad max argument
--! process:write process:shutdown process:kill process:pid process:set_timeouts
local process = require("ngx.pipe").spawn({ "true" })
process:wait()
ngx.say(pcall(process.write, process, print)) ngx.say(pcall(process.shutdown, process, "up")) ngx.say(pcall(process.kill, process, "TERM"))
ngx.say(process:kill(15)) ngx.say(pcall(process.set_timeouts, process, -1)) ngx.say(pcall(process.pid, {}))
process:shutdown("stdin")
ngx.say(process:write("a")) ngx.say(process:shutdown("stdin"))
--> falsebad data arg: string, number, or table expected, got function
--> falsebad shutdown arg: up
--> falsebad signal arg: number expected, got TERM
--> nilexited
--> falsebad write_timeout option
--> falsenot a process instance
--> nilclosed
--> nilclosed
