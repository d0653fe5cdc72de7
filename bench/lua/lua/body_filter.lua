-- Puts a note before the end of a page, or after the page where that end is not found.
local chunk, last = ngx.arg[1], ngx.arg[2]
local at = not ngx.ctx.noted and string.find(chunk, "</body>", 1, true)
if at then
    ngx.arg[1] = string.sub(chunk, 1, at - 1) .. "<!-- noted -->" .. string.sub(chunk, at)
    ngx.ctx.noted = true
elseif last and not ngx.ctx.noted then
    ngx.arg[1] = chunk .. "<!-- noted -->"
end
