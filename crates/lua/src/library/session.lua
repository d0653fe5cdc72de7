-- ngx.ssl.session: sessions that clients go on with, in the phases that keep them.

local kit = ...

local session_name, session_content, session_restore = kit.C.session_name, kit.C.session_content, kit.C.session_restore
local host, given, NO_REQUEST, MISSING = kit.host, kit.given, kit.NO_REQUEST, kit.MISSING
local byte, error, format, gsub = string.byte, error, string.format, string.gsub

local NO_SESSION = 6

local module = { version = "0.1.31" }

-- `nil` and `why` where there is nothing.
local function check(code, why)
    if code == NO_REQUEST then
        error("no request found", 3)
    end
    if code == MISSING then
        return nil, why
    end
    return true
end

-- In hexadecimal digits.
function module.get_session_id()
    local ok, why = check(session_name(host), "uninitialized session id len in lua context")
    if not ok then
        return nil, why
    end
    return (gsub(given(), ".", function(char)
        return format("%02x", byte(char))
    end))
end

function module.get_serialized_session()
    local ok, why = check(session_content(host), "bad session in lua context")
    if not ok then
        return nil, why
    end
    return given()
end

function module.set_serialized_session(session)
    local code = session_restore(host, session, #session)
    if code == NO_SESSION then
        return nil, "failed to de-serialize session"
    end
    return check(code, "bad lua context")
end

return module
