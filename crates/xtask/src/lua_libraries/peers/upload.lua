local form = assert(require("resty.upload"):new(4096))
local seen, size = {}, 0
while true do
    local kind, data = assert(form:read())
    if kind == "body" then
        size = size + #data
    elseif kind == "part_end" then
        seen[#seen + 1] = "body " .. size .. " part_end"
    else
        seen[#seen + 1] = kind
    end
    if kind == "eof" then
        break
    end
end
ngx.print(table.concat(seen, " "))
