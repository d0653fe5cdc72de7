-- Tokens that a shared secret signs (HS256). lua-resty-jwt does this and much more; here it keeps the example to itself.
local cjson = require "cjson.safe"
local hmac = require "resty.openssl.hmac"
local base64 = require "ngx.base64"

local HEADER = base64.encode_base64url('{"alg":"HS256","typ":"JWT"}')

local function signature(text, secret)
  return base64.encode_base64url(assert(hmac.new(secret, "sha256")):final(text))
end

local jwt = {}

function jwt.sign(claims, secret)
  local text = HEADER .. "." .. base64.encode_base64url(cjson.encode(claims))
  return text .. "." .. signature(text, secret)
end

-- The claims of a token that is good, or nil and why it is not. Those that were good are remembered until they expire.
function jwt.verify(token, secret)
  if not token then
    return nil, "no token"
  end
  local known = ngx.shared.tokens:get(token)
  if known then
    return cjson.decode(known)
  end
  local text, given = token:match("^([%w_-]+%.[%w_-]+)%.([%w_-]+)$")
  local head = text and cjson.decode(base64.decode_base64url(text:match("^[^.]+")) or "")
  if not head or head.alg ~= "HS256" or given ~= signature(text, secret) then
    return nil, "a token that nobody here has signed"
  end
  local encoded = base64.decode_base64url(text:match("%.(.+)$"))
  local claims = cjson.decode(encoded or "")
  local seconds = claims and tonumber(claims.exp) and claims.exp - ngx.time()
  if not seconds or seconds <= 0 or not claims.sub then
    return nil, "a token that has expired"
  end
  ngx.shared.tokens:set(token, encoded, math.min(seconds, 60))
  return claims
end

return jwt
