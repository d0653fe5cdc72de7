local jwk = require("cjson").decode(ngx.shared.caches:get "jwk")
jwk.kid, jwk.use, jwk.alg = "one", "sig", "RS256"
ngx.print(require("cjson").encode { keys = { jwk } })
