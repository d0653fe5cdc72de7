-- The parts of resty.core. Functions of `ngx` are there without them; these are the ones that only the parts have.

local kit, name = ...

local ngx = kit.ngx
local part = { version = "0.1.31" }
local error, type = error, type
local find, gsub, sub = string.find, string.gsub, string.sub

local parts = {}

parts["resty.core.ctx"] = function()
    -- `ngx.ctx`; where the request has none yet, `own` becomes it.
    function part.get_ctx_table(own)
        return kit.context(own)
    end
end

parts["resty.core.misc"] = function()
    -- Fields of `ngx` that are computed when they are read or written.
    function part.register_ngx_magic_key_getter(key, getter)
        kit.getters[key] = getter
    end

    function part.register_ngx_magic_key_setter(key, setter)
        kit.setters[key] = setter
    end
end

parts["resty.core.regex"] = function()
    function part.set_buf_grow_ratio() end

    function part.get_max_regex_cache_size()
        return kit.regex_cache
    end

    function part.is_regex_cache_empty()
        return kit.regex_cache_is_empty()
    end
end

parts["resty.core.time"] = function()
    local host, monotonic = kit.host, kit.C.time_monotonic

    -- Seconds and milliseconds of a clock that nobody sets. Where it begins means nothing.
    function part.monotonic_time()
        return monotonic(host)
    end

    function part.monotonic_msec()
        return math.floor(monotonic(host) * 1000)
    end
end

parts["resty.core.utils"] = function()
    function part.str_replace_char(text, character, replacement)
        if not find(text, character, nil, true) then
            return text
        end
        -- Only the first byte of each counts.
        local old, new = gsub(sub(character, 1, 1), "%W", "%%%0"), gsub(sub(replacement, 1, 1), "%%", "%%%%")
        return (gsub(text, old, new))
    end
end

parts["resty.core.response"] = function()
    function part.set_resp_header(_, key, value)
        ngx.header[key] = value
    end
end

parts["resty.core.request"] = function()
    function part.set_req_header(key, value)
        if type(key) ~= "string" then
            error("bad 'name' argument: string expected, got " .. type(key), 2)
        end
        ngx.req.set_header(key, value)
    end
end

local make = parts[name]
if make then
    make()
end
return part
