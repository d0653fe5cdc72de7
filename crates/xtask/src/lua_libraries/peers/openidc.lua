local base = "http://127.0.0.1:" .. ngx.var.server_port
local claims, why = require("resty.openidc").bearer_jwt_verify {
    discovery = { issuer = base, jwks_uri = base .. "/jwks", id_token_signing_alg_values_supported = { "RS256" } },
    token_signing_alg_values_expected = { "RS256" },
}
if not claims then
    ngx.status = 401
    ngx.print(why)
    return
end
ngx.print(claims.sub)
