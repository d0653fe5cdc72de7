-- tidegate.message: a message that an instance works on, out of the request that carries it.

local kit = ...
local ngx = kit.ngx
local cjson = require "cjson"

local concat, error, select, setmetatable, tonumber, tostring, type =
    table.concat, error, select, setmetatable, tonumber, tostring, type
local open = io.open

local module = {}
local message = {}
message.__index = message

-- What the answer is made with, as a script may not write to it.
local print = ngx.print

local function log(...)
    local words = {}
    for index = 1, select("#", ...) do
        words[index] = tostring((select(index, ...)))
    end
    ngx.log(ngx.INFO, concat(words))
end

-- Nobody reads what a worker says: it goes to the log.
ngx.say, ngx.print = log, log

local function body()
    ngx.req.read_body()
    local text = ngx.req.get_body_data()
    local path = not text and ngx.req.get_body_file()
    if path then
        local file = assert(open(path, "rb"))
        text = file:read("*a")
        file:close()
    end
    return text or ""
end

-- The message of this request; nil, with an answer, if it is none or not from this instance.
function module.take(token)
    local headers = ngx.req.get_headers()
    local head = headers["x-tidegate-message"]
    if headers["x-tidegate-token"] ~= token or type(head) ~= "string" then
        ngx.status = 404
        print("this instance works on messages, not on requests\n")
        return nil
    end
    local self = cjson.decode(ngx.decode_base64(head))
    self.body = body()
    return setmetatable(self, message)
end

-- Has the message delivered again, after so many seconds, whatever the script returns.
function message:retry(seconds)
    seconds = tonumber(seconds)
    if not seconds or seconds < 0 then
        error("a pause in seconds was expected", 2)
    end
    self.verdict = "again " .. seconds
end

-- Has the message put among the dead letters, whatever the script returns.
function message:reject(why)
    self.verdict, self.reason = "rejected", tostring(why or "rejected")
end

-- The body as JSON, or nil and why it is none.
function message:json()
    local ok, value = pcall(cjson.decode, self.body)
    if ok then
        return value
    end
    return nil, value
end

-- Says what became of it: `ok` and what follows are of pcall. Nothing, or anything true: success.
function module.settle(self, ok, ...)
    local verdict, reason = self.verdict, self.reason
    if not ok then
        verdict, reason = "failed", tostring((...))
        ngx.log(ngx.ERR, "message ", self.id, ", attempt ", self.attempt, ": ", reason)
    elseif not verdict then
        local value, why = ...
        local success = select("#", ...) == 0 or value
        verdict, reason = success and "done" or "failed", not success and tostring(why or "it returned " .. tostring(value))
    end
    ngx.header["X-Tidegate-Verdict"] = verdict
    print(reason or "")
end

return module
