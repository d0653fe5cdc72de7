local template = require "resty.template"
local render = template.compile "Hello, {{name}}! {% for i = 1, 2 do %}{*i*}{% end %}"
assert(render { name = "<World>" } == "Hello, &lt;World&gt;!12")
