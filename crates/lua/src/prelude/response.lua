-- ngx.header, ngx.resp, ngx.status, ngx.headers_sent.

local kit = ...
local ngx, C = kit.ngx, kit.C

local block, host, NO_REQUEST = kit.block, kit.host, kit.NO_REQUEST
local collect, limit, stage, headers_metatable = kit.collect, kit.limit, kit.stage, kit.headers_metatable
local ffi_string = require("ffi").string
local ipairs = ipairs
local error, setmetatable, tonumber, tostring, type = error, setmetatable, tonumber, tostring, type

local SENT = -3

local response_header_get, response_header_clear = C.response_header_get, C.response_header_clear
local response_header_set, response_header_set_staged = C.response_header_set, C.response_header_set_staged

local function get(_, name)
    name = tostring(name)
    local count = response_header_get(host, name, #name)
    if count == 1 then
        local first = block.pairs[0]
        local text = ffi_string(first.value, first.value_length)
        return text
    end
    if count == 0 then
        return nil
    end
    if count == NO_REQUEST then
        error(kit.current_text(), 2)
    end
    local list = block.pairs
    local values = {}
    for index = 0, count - 1 do
        values[index + 1] = ffi_string(list[index].value, list[index].value_length)
    end
    return values
end

local function refuse(code)
    if code == SENT then
        kit.log(ngx.ERR, "attempt to set ngx.header.HEADER after sending out response headers")
        return
    end
    if code == NO_REQUEST then
        error(kit.current_text(), 3)
    end
    error(code == -1 and "invalid header name" or "invalid header value", 3)
end

local function set(_, name, value)
    if type(name) ~= "string" then
        name = tostring(name)
    end
    local code
    if type(value) == "string" then
        code = response_header_set(host, name, #name, value, #value)
    elseif value == nil then
        code = response_header_clear(host, name, #name)
    elseif type(value) == "table" then
        if #value == 0 then
            code = response_header_clear(host, name, #name)
        else
            stage(value)
            code = response_header_set_staged(host, name, #name)
        end
    else
        value = tostring(value)
        code = response_header_set(host, name, #name, value, #value)
    end
    if code ~= 0 then
        refuse(code)
    end
end

ngx.header = setmetatable({}, { __index = get, __newindex = set })

local response_headers = C.response_headers

function ngx.resp.get_headers(max, raw)
    local count = response_headers(host, limit(max), raw and 1 or 0)
    if count == NO_REQUEST then
        error(kit.current_text(), 2)
    end
    local more = block.flags
    local headers = collect(block.pairs, count, {})
    if not raw then
        setmetatable(headers, headers_metatable)
    end
    if more ~= 0 then
        kit.log(ngx.DEBUG, "lua exceeding response header limit " .. count + more .. " > " .. count)
        return headers, "truncated"
    end
    return headers
end

local response_status, response_status_set = C.response_status, C.response_status_set

function kit.getters.status()
    local status = response_status(host)
    if status == NO_REQUEST then
        error(kit.current_text(), 2)
    end
    return status
end

-- A status that a script gave to the function that called this.
local function status_of(status)
    local number = tonumber(status)
    if not number or number < 0 or number > 999 then
        error("bad status: " .. tostring(status), 3)
    end
    return number
end

-- Tells why it was not set, if it was not.
local function check_status(code)
    if code == SENT then
        kit.log(ngx.ERR, "attempt to set ngx.status after sending out response headers")
    elseif code == NO_REQUEST then
        error(kit.current_text(), 3)
    end
end

function kit.setters.status(status)
    local code = response_status_set(host, status_of(status))
    if code ~= 0 then
        check_status(code)
    end
end

local response_headers_sent = C.response_headers_sent

function kit.getters.headers_sent()
    local sent = response_headers_sent(host)
    if sent == NO_REQUEST then
        error(kit.current_text(), 2)
    end
    return sent == 1
end

local response_header_add, response_status_set_reason = C.response_header_add, C.response_status_set_reason

-- Adds values to those that a header has.
local function add(name, value)
    name = type(name) == "string" and name or tostring(name)
    if value == nil then
        error("invalid header value", 2)
    end
    local values = type(value) == "table" and value or { value }
    for index = 1, #values do
        local text = tostring(values[index])
        local code = response_header_add(host, name, #name, text, #text)
        if code ~= 0 then
            refuse(code)
        end
    end
end

local function set_status(status, reason)
    local number = status_of(status)
    reason = reason == nil and "" or tostring(reason)
    local code = response_status_set_reason(host, number, reason, #reason)
    if code ~= 0 then
        check_status(code)
    end
end

local CHANGES = kit.phases("set server_rewrite rewrite access precontent content header_filter body_filter balancer", "log")

-- Conditions of the request that files are answered by: the answer is made whatever they say.
local function bypass_if_checks()
    kit.check_current(CHANGES)
    for _, name in ipairs({ "If-Modified-Since", "If-None-Match", "If-Match", "If-Unmodified-Since", "If-Range" }) do
        ngx.req.clear_header(name)
    end
end

package.preload["ngx.resp"] = function()
    return { add_header = add, set_status = set_status, bypass_if_checks = bypass_if_checks, version = "0.1.28" }
end
package.preload["ngx.req"] = function()
    return { add_header = kit.add_request_header, version = "0.1.28" }
end
-- Part of the module alone in OpenResty, so that it is not seen among the others.
setmetatable(ngx.req, { __index = { add_header = kit.add_request_header } })
ngx.resp.add_header, ngx.resp.set_status, ngx.resp.bypass_if_checks = add, set_status, bypass_if_checks
