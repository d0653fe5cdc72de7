-- Modules that come with the host and are compiled only when a script requires them.

local kit = ...

-- OpenResty has loaded it from the start; its parts come when they are required.
package.loaded["resty.core"] = { version = "0.1.31" }

-- It would profile one VM of a process that has several, by a signal that reaches any of its threads.
package.preload["jit.profile"] = function()
    error("jit.profile is not available here; `tidegate flame` shows where Lua spends its time", 0)
end

local host, given, C = kit.host, kit.given, kit.C
local library_source, library_symbol = C.library_source, C.library_symbol
local ffi = require "ffi"
local error, gsub, loadstring = error, string.gsub, loadstring

-- After what is preloaded, before what is on the disk.
table.insert(package.loaders, 2, function(name)
    if library_source(host, name, #name) ~= 0 then
        return nil
    end
    local chunk = loadstring(given(), "=ngx." .. gsub(name, "^ngx%.", ""))
    return function()
        return chunk(kit, name)
    end
end)

-- A function of C, as a pointer of that type. Its name is not declared, so that libraries can declare it their way.
function kit.symbol(name, ctype)
    local address = library_symbol(host, name, #name)
    if address == 0 then
        error("no function is called " .. name, 2)
    end
    return ffi.cast(ctype, ffi.cast("uintptr_t", address))
end
