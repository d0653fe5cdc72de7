-- One row of the Mandelbrot set, in shades of text: about a millisecond of arithmetic and nothing else.
local WIDTH, DEPTH, IMAGINARY = 120, 1500, 0.1
local SHADES = " .:-=+*%@#"

local function escape(cr, ci)
  local zr, zi = 0, 0
  for step = 1, DEPTH do
    local zr2, zi2 = zr * zr, zi * zi
    if zr2 + zi2 > 4 then
      return step
    end
    zr, zi = zr2 - zi2 + cr, 2 * zr * zi + ci
  end
  return DEPTH
end

local row = {}
for column = 1, WIDTH do
  local steps = escape(-2 + 3 * column / WIDTH, IMAGINARY)
  local shade = math.min(#SHADES, math.floor(math.log(steps) * 2) + 1)
  row[column] = SHADES:sub(shade, shade)
end

ngx.header["Content-Type"] = "text/plain"
ngx.say(table.concat(row))
