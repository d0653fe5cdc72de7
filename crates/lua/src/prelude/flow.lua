-- ngx.exit, ngx.redirect, ngx.exec, ngx.sleep, ngx.get_phase.

local kit = ...
local ngx = kit.ngx

local block, host, wait, disabled = kit.block, kit.host, kit.wait, kit.disabled
local flow_exit, flow_sleep, thread_captures = kit.C.flow_exit, kit.C.flow_sleep, kit.C.thread_captures
local band = require("bit").band
local error, select, tonumber, tostring, type = error, select, tonumber, tostring, type
local byte, find, format, gsub, sub = string.byte, string.find, string.format, string.gsub, string.sub

local YIELDABLE, ANSWERABLE = kit.YIELDABLE, kit.ANSWERABLE
local EXITABLE = kit.phases("server_rewrite rewrite access precontent content header_filter timer balancer "
    .. "ssl_cert ssl_session_fetch ssl_session_store ssl_client_hello")
local CONTENT, HEADER_FILTER, BALANCER = kit.CONTENT, kit.HEADER_FILTER, kit.BALANCER
local ERROR, AGAIN, DONE, DECLINED, CLOSE = ngx.ERROR, ngx.AGAIN, ngx.DONE, ngx.DECLINED, ngx.HTTP_CLOSE
-- Statuses that mean something even after the head of the response has left.
local ends_connection = { [408] = true, [CLOSE] = true, [499] = true }

local phases = kit.phase_names

function ngx.get_phase()
    return phases[block.phase] or error("no request found", 2)
end

function ngx.get_raw_phase()
    return block.phase
end

function ngx.exit(status)
    local phase = block.phase
    if band(phase, EXITABLE) == 0 then
        disabled(phase)
    end
    local code = tonumber(status)
    if not code then
        error("bad argument #1 to 'exit' (number expected, got " .. type(status) .. ")", 2)
    end
    if code == AGAIN or code == DONE then
        error("bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE", 2)
    end
    if code == ERROR and phase == BALANCER then
        code = 500
    elseif code == ERROR or (code == DECLINED and phase == CONTENT) then
        code = CLOSE
    elseif code == DECLINED then
        code = 0
    elseif code < 0 or code > 999 then
        error("bad argument #1 to 'exit' (no such status: " .. code .. ")", 2)
    end
    if code >= 300 and not ends_connection[code] and ngx.headers_sent then
        if code ~= ngx.status then
            kit.log(ngx.ERR, format("attempt to set status %d via ngx.exit after sending out the response status %d",
                code, ngx.status))
        end
        code = 200
    end
    if not ends_connection[code] and thread_captures(host) == 1 then
        error("attempt to abort with pending subrequests", 2)
    end
    flow_exit(host, code)
    -- The head of a response is on its way and waits for nobody: the status holds, the handler ends by itself.
    if phase == HEADER_FILTER then
        return
    end
    return wait()
end

local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

function ngx.redirect(uri, status)
    local phase = block.phase
    if band(phase, ANSWERABLE) == 0 then
        disabled(phase)
    end
    if type(uri) == "number" then
        uri = tostring(uri)
    elseif type(uri) ~= "string" then
        error("bad argument #1 to 'redirect' (string expected, got " .. type(uri) .. ")", 2)
    end
    status = status == nil and 302 or tonumber(status)
    if not redirects[status] then
        error("only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, ngx.HTTP_PERMANENT_REDIRECT, "
            .. "ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed", 2)
    end
    if ngx.headers_sent then
        error("attempt to call ngx.redirect after sending out the headers", 2)
    end
    local at = find(uri, "[%c\127]")
    if at then
        local shown = gsub(uri, '[%c\127-\255"\\]', function(unsafe)
            return format("\\x%02X", byte(unsafe))
        end)
        error(format('unsafe byte "0x%02x" in redirect uri "%s"', byte(uri, at), shown), 2)
    end
    ngx.header.Location = uri
    if thread_captures(host) == 1 then
        error("attempt to abort with pending subrequests", 2)
    end
    flow_exit(host, status)
    return wait()
end

local flow_exec = kit.C.flow_exec
local uri_parse = kit.C.uri_parse

-- A path and the arguments behind it, or nil for a path that leads upwards.
local function split(uri)
    local code = uri_parse(host, uri, #uri)
    if code ~= 0 then
        return nil
    end
    local path = kit.given()
    local mark = find(uri, "?", 1, true)
    return path, mark and sub(uri, mark + 1) or ""
end
kit.split_uri = split

function ngx.exec(...)
    local phase = block.phase
    if band(phase, ANSWERABLE) == 0 then
        disabled(phase)
    end
    local count = select("#", ...)
    if count ~= 1 and count ~= 2 then
        error("expecting one or two arguments, but got " .. count, 2)
    end
    local uri, args = ...
    if type(uri) ~= "string" and type(uri) ~= "number" then
        error("bad argument #1 to 'exec' (string expected, got " .. type(uri) .. ")", 2)
    end
    uri = tostring(uri)
    if uri == "" then
        error("The uri argument is empty", 2)
    end
    local path, own
    path, own = split(uri)
    if not path then
        kit.log(ngx.ERR, 'unsafe URI "' .. uri .. '" was detected')
        error("unsafe uri", 2)
    end
    if args ~= nil then
        args = type(args) == "string" and args or kit.arguments(args, 2, "exec")
        own = own ~= "" and args ~= "" and own .. "&" .. args or own .. args
    end
    if ngx.headers_sent then
        error("attempt to call ngx.exec after sending out response headers", 2)
    end
    if thread_captures(host) == 1 then
        error("attempt to abort with pending subrequests", 2)
    end
    flow_exec(host, path, #path, own, #own)
    return wait()
end

function ngx.sleep(seconds)
    local phase = block.phase
    if band(phase, YIELDABLE) == 0 then
        disabled(phase)
    end
    local duration = tonumber(seconds)
    if not duration then
        error("bad argument #1 to 'sleep' (number expected, got " .. type(seconds) .. ")", 2)
    end
    if not (duration >= 0) then
        error('invalid sleep duration "' .. duration .. '"', 2)
    end
    flow_sleep(host, duration)
    local ok, why = wait()
    if not ok then
        error(why, 2)
    end
end
