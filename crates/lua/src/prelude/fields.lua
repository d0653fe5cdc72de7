-- Makes `ngx.status`, `ngx.ctx` and the like read and write as fields. Loaded last.

local kit = ...
local getters, setters = kit.getters, kit.setters
local rawset = rawset

setmetatable(kit.ngx, {
    __index = function(_, name)
        local getter = getters[name]
        if getter then
            return getter()
        end
        return nil
    end,
    __newindex = function(ngx, name, value)
        local setter = setters[name]
        if setter then
            return setter(value)
        end
        rawset(ngx, name, value)
    end,
})
