-- The time as the worker last set it, and dates.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host = kit.block, kit.host
local time_update, time_parse_http = C.time_update, C.time_parse_http
local date = os.date
local floor = math.floor
local error, type = error, type

function ngx.now()
    return block.now
end

function ngx.time()
    local seconds = floor(block.now)
    return seconds
end

function ngx.update_time()
    time_update(host)
end

function ngx.today()
    return date("%Y-%m-%d", floor(block.now))
end

function ngx.localtime()
    return date("%Y-%m-%d %H:%M:%S", floor(block.now))
end

function ngx.utctime()
    return date("!%Y-%m-%d %H:%M:%S", floor(block.now))
end

function ngx.http_time(seconds)
    if type(seconds) ~= "number" then
        error("number argument only", 2)
    end
    return date("!%a, %d %b %Y %H:%M:%S GMT", seconds)
end

-- Cookies have years of two digits as long as these are unambiguous.
local LAST_SHORT_YEAR = 2145916799

function ngx.cookie_time(seconds)
    if type(seconds) ~= "number" then
        error("number argument only", 2)
    end
    return date(seconds > LAST_SHORT_YEAR and "!%a, %d-%b-%Y %H:%M:%S GMT" or "!%a, %d-%b-%y %H:%M:%S GMT", seconds)
end

function ngx.parse_http_time(text)
    if type(text) ~= "string" then
        error("string argument only", 2)
    end
    if time_parse_http(host, text, #text) == 0 then
        return block.number
    end
    return nil
end
