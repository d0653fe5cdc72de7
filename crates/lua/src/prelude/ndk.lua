-- ndk.set_var: the functions of nginx's set-misc module that are plain conversions.

local kit = ...
local ngx = kit.ngx
local error, setmetatable, tostring = error, setmetatable, tostring

local conversions = {
    set_escape_uri = ngx.escape_uri,
    set_unescape_uri = ngx.unescape_uri,
    set_encode_base64 = ngx.encode_base64,
    set_decode_base64 = ngx.decode_base64,
    set_quote_sql_str = ngx.quote_sql_str,
    set_md5 = ngx.md5,
}

local function find(_, name)
    local convert = conversions[name] or error("ndk.set_var: directive \"" .. tostring(name) .. "\" not found or does not use ndk_set_var_value", 2)
    return function(text)
        return convert(text) or ""
    end
end

ndk = { set_var = setmetatable({}, { __index = find }) }
