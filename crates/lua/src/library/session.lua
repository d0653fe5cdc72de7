-- ngx.ssl.session: sessions that clients go on with, in the phases that keep them.

local kit = ...

local session_name, session_content, session_restore = kit.C.session_name, kit.C.session_content, kit.C.session_restore
local host, given, NO_REQUEST, MISSING = kit.host, kit.given, kit.NO_REQUEST, kit.MISSING
local to_hex = require("resty.string").to_hex
local error = error

local NO_SESSION = 6

local module = { version = "0.1.31" }

-- What `found` says, or `nil` and `why` where there is nothing. Functions end with it, so their caller is one level up.
local function answer(code, why, found)
    if code == NO_REQUEST then
        error("no request found", 2)
    end
    if code == MISSING then
        return nil, why
    end
    return found()
end

local function hexadecimal()
    return to_hex(given())
end

local function done()
    return true
end

function module.get_session_id()
    return answer(session_name(host), "uninitialized session id len in lua context", hexadecimal)
end

function module.get_serialized_session()
    return answer(session_content(host), "bad session in lua context", given)
end

function module.set_serialized_session(session)
    local code = session_restore(host, session, #session)
    if code == NO_SESSION then
        return nil, "failed to de-serialize session"
    end
    return answer(code, "bad lua context", done)
end

return module
