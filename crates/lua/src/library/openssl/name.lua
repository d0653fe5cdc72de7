-- resty.openssl.x509.name: the name of who a certificate is for, or from.

local ffi = require "ffi"
local openssl = require "tidegate.openssl"
local setmetatable, tonumber = setmetatable, tonumber

local methods = {}
local metatable = { __index = methods }

-- Reads the names, which belong to `owner`.
function methods.read(pointer, owner)
    local name = setmetatable({ ctx = pointer, owner = owner }, metatable)
    for index = 1, openssl.X509_NAME_entry_count(pointer) do
        local entry = openssl.X509_NAME_get_entry(pointer, index - 1)
        local object, data = openssl.X509_NAME_ENTRY_get_object(entry), openssl.X509_NAME_ENTRY_get_data(entry)
        local nid = openssl.OBJ_obj2nid(object)
        local id = ffi.new("char[?]", 128)
        openssl.OBJ_obj2txt(id, 128, object, 1)
        name[index] = {
            nid = nid, id = ffi.string(id),
            sn = nid ~= 0 and openssl.text(openssl.OBJ_nid2sn(nid)) or nil,
            ln = nid ~= 0 and openssl.text(openssl.OBJ_nid2ln(nid)) or nil,
            blob = ffi.string(ffi.cast("const char *", openssl.ASN1_STRING_get0_data(data)), openssl.ASN1_STRING_length(data)),
        }
    end
    return name
end

local function key_of(entry)
    return entry.sn or entry.ln or entry.id
end

-- Everything by its short name; what stands several times, as it stands last.
function methods.all(name)
    local all = {}
    for index = 1, #name do
        all[key_of(name[index])] = name[index]
    end
    return all
end

-- The first one of a name or number after `last`, and its index.
function methods.find(name, wanted, last)
    local nid = tonumber(wanted) or openssl.OBJ_txt2nid(wanted)
    for index = (last or 0) + 1, #name do
        if name[index].nid == nid then
            return name[index], index
        end
    end
    return nil
end

function methods.each(name)
    local index = 0
    return function()
        index = index + 1
        local entry = name[index]
        if entry then
            return key_of(entry), entry
        end
    end
end

function methods.tostring(name)
    local parts = {}
    for index = 1, #name do
        parts[index] = key_of(name[index]) .. "=" .. name[index].blob
    end
    return table.concat(parts, "/")
end
metatable.__tostring = methods.tostring

return methods
