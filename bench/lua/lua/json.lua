local cjson = require "cjson"

ngx.req.read_body()
local order = cjson.decode(ngx.req.get_body_data())
local total = 0
for _, item in ipairs(order.items) do
    total = total + item.count * item.price
end
order.total = total
ngx.header["Content-Type"] = "application/json"
ngx.print(cjson.encode(order))
