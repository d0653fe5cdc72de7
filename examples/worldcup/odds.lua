-- Who wins? Plays a match a few thousand times, with goals that fall as often as the two teams
-- usually score: GET /odds?home=1.8&away=1.1
local MATCHES = 4000

local function goals_per_match(text, default)
  local mean = tonumber(text) or default
  return math.min(math.max(mean, 0), 10)
end

-- A generator of our own, so that the same question always gets the same answer.
local seed = 42
local function random()
  seed = (seed * 16807) % 2147483647
  return seed / 2147483647
end

-- Goals of one team in one match: a Poisson number, by multiplying until it is small enough.
local function goals(limit)
  local count, product = 0, random()
  while product > limit do
    count, product = count + 1, product * random()
  end
  return count
end

local home = goals_per_match(ngx.var.arg_home, 1.5)
local away = goals_per_match(ngx.var.arg_away, 1.2)
local home_limit, away_limit = math.exp(-home), math.exp(-away)

local won, drawn = 0, 0
for _ = 1, MATCHES do
  local difference = goals(home_limit) - goals(away_limit)
  if difference > 0 then
    won = won + 1
  elseif difference == 0 then
    drawn = drawn + 1
  end
end

ngx.header["Content-Type"] = "application/json"
ngx.say(string.format('{"home":%.3f,"draw":%.3f,"away":%.3f}',
  won / MATCHES, drawn / MATCHES, 1 - (won + drawn) / MATCHES))
