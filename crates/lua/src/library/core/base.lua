-- resty.core.base: what libraries that call functions of C share.

local kit = ...

local ffi = require "ffi"
local block, host = kit.block, kit.host
local INIT = kit.INIT
local ceil, error, select = math.ceil, error, select

local base = {
    version = "0.1.31",
    new_tab = require "table.new",
    clear_tab = require "table.clear",
    FFI_OK = 0,
    FFI_ERROR = -1,
    FFI_AGAIN = -2,
    FFI_BUSY = -3,
    FFI_DONE = -4,
    FFI_DECLINED = -5,
    FFI_ABORT = -6,
    FFI_NO_REQ_CTX = -100,
    FFI_BAD_CONTEXT = -101,
}
local buffer_type = ffi.typeof "char[?]"
local size, buffer = 4096, nil
local length, message = ffi.new "size_t[1]", ffi.new "char *[1]"

function base.get_string_buf_size()
    return size
end

function base.set_string_buf_size(wanted)
    if wanted > 0 then
        size, buffer = ceil(wanted), nil
    end
end

-- Memory that is used again, unless there is more to store or it must be the caller's own.
function base.get_string_buf(wanted, own)
    if own or wanted > size then
        return ffi.new(buffer_type, wanted)
    end
    buffer = buffer or ffi.new(buffer_type, size)
    return buffer
end

function base.get_size_ptr()
    return length
end

function base.get_errmsg_ptr()
    return message
end

-- Puts a value into a free place of the table and answers which. Places that are free again are linked, from 0 on.
function base.ref_in_table(references, value)
    if value == nil then
        return -1
    end
    local place = references[0]
    if place and place ~= 0 then
        references[0] = references[place]
    else
        place = #references + 1
    end
    references[place] = value
    return place
end

-- What functions of C take as the request. It is the same for all, as they work on the one that runs.
local request = ffi.cast("ngx_http_request_t *", host)

function base.get_request()
    local phase = block.phase
    if phase ~= 0 and phase ~= INIT then
        return request
    end
    return nil
end

function base.allows_subsystem(...)
    for index = 1, select("#", ...) do
        if select(index, ...) == "http" then
            return
        end
    end
    error("unsupported subsystem: http", 2)
end

return base
