-- Time, workers and configuration.

--# ngx.now ngx.time ngx.update_time
ngx.update_time()
local now, time = ngx.now(), ngx.time()
local clock = os.time()
ngx.say(math.floor(now) == time, " ", math.abs(clock - time) <= 2, " ", now ~= time or now % 1 == 0)
local before = ngx.now()
repeat ngx.update_time() until ngx.now() > before
ngx.say("it passes")
--> true true true
--> it passes
--~ ngx.now ngx.time ngx.update_time : takes nothing

--# ngx.today ngx.localtime ngx.utctime
local form = "^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d$"
ngx.say(ngx.today():find("^%d%d%d%d%-%d%d%-%d%d$"), ngx.localtime():find(form), ngx.utctime():find(form))
ngx.say(ngx.localtime():sub(1, 10) == ngx.today(), " ", ngx.utctime():sub(1, 10) == os.date("!%Y-%m-%d", ngx.time()))
--> 11119
--> true true
--~ ngx.today ngx.localtime ngx.utctime : takes nothing

--# ngx.http_time
ngx.say(ngx.http_time(1290079655))
--> Thu, 18 Nov 2010 11:27:35 GMT
--! ngx.http_time
ngx.http_time("1290079655")
--> case:1: number argument only

--# ngx.cookie_time
ngx.say(ngx.cookie_time(1290079655), " ", ngx.cookie_time(2145916800))
--> Thu, 18-Nov-10 11:27:35 GMT Fri, 01-Jan-2038 00:00:00 GMT
--! ngx.cookie_time
ngx.cookie_time()
--> case:1: number argument only

--# ngx.parse_http_time
ngx.say(ngx.parse_http_time("Thu, 18 Nov 2010 11:27:35 GMT"), " ", ngx.parse_http_time("Thursday, 18-Nov-10 11:27:35 GMT"))
--> 1290079655 1290079655
--! ngx.parse_http_time
ngx.say(ngx.parse_http_time("tomorrow"))
ngx.parse_http_time(1)
--> nil
--> case:2: string argument only

--# ngx.worker.id ngx.worker.count ngx.worker.pid ngx.worker.pids ngx.worker.exiting
ngx.say(ngx.worker.id(), " ", ngx.worker.count(), " ", ngx.worker.exiting())
local file = io.open("/proc/self/stat")
local process = file:read("*n")
file:close()
file = io.open("/proc/" .. process .. "/task/" .. ngx.worker.pid() .. "/stat")
ngx.say(ngx.worker.pid() ~= process and file:read("*n") == ngx.worker.pid(), #ngx.worker.pids(), ngx.worker.pids()[1] == ngx.worker.pid())
file:close()
--> 0 1 false
--> true1true
--~ ngx.worker.id ngx.worker.count ngx.worker.pid ngx.worker.pids ngx.worker.exiting : takes nothing

--# ngx.config.prefix ngx.config.nginx_configure
ngx.say(ngx.config.prefix() == "{dir}/", " ", ngx.config.nginx_configure(), " ", ngx.config.subsystem, ngx.config.debug,
    ngx.config.nginx_version, ngx.config.ngx_lua_version)
--> true --with-tidegate httpfalse102700110028
--~ ngx.config.prefix ngx.config.nginx_configure : takes nothing

--# ngx.process.type ngx.process.get_master_pid
local process = require "ngx.process"
ngx.say(process.type(), " ", process.get_master_pid() ~= ngx.worker.pid())
--> worker true
--~ ngx.process.type ngx.process.get_master_pid : takes nothing
--# ngx.process.enable_privileged_agent ngx.process.signal_graceful_exit
local process = require "ngx.process"
ngx.say(process.enable_privileged_agent())
ngx.say(process.signal_graceful_exit())
--> nilAPI disabled in the current context
--> nila worker does not end by itself: send SIGTERM to the process
--! ngx.process.enable_privileged_agent ngx.process.signal_graceful_exit
local process = require "ngx.process"
ngx.say((process.enable_privileged_agent()), (process.signal_graceful_exit()))
--> nilnil

--# resty.core.time.monotonic_time resty.core.time.monotonic_msec
local time = require "resty.core.time"
local first = time.monotonic_time()
ngx.say(type(first), time.monotonic_msec() % 1, time.monotonic_time() >= first, time.monotonic_msec() >= math.floor(first * 1000))
--> number0truetrue
--~ resty.core.time.monotonic_time resty.core.time.monotonic_msec : takes nothing
