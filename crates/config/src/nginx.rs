//! What directives of nginx are here, for those who bring their configuration with them.
//!
//! Directives of lua-nginx-module follow a rule and are in [`crate::nearest`]. `docs/openresty.md` tells all of it at length, with
//! what is not there at all.

/// Each with the key that does its work, and where that stands.
const KEYS: &[(&str, &str)] = &[
    ("access_log", "`accessLog`"),
    ("add_header", "`ngx.header` in `lua.headerFilter` of a route"),
    ("alias", "`static.root` of a route"),
    ("auth_request", "`ngx.location.capture` in `lua.access` of a route"),
    ("client_body_buffer_size", "`limits.clientBodyBuffer`"),
    ("client_body_timeout", "`timeouts.bodyIdle`"),
    ("client_header_timeout", "`timeouts.header`"),
    ("client_max_body_size", "`limits.bodyBytes`"),
    ("default_type", "`lua.defaultType`"),
    ("env", "`lua.env`"),
    ("error_log", "`errorLog`"),
    ("error_page", "`lua.headerFilter` and `lua.bodyFilter` of a route"),
    ("if", "`match.headers` of a route, or `lua.rewrite`"),
    ("index", "`static.index` of a route"),
    ("keepalive", "`limits.upstreamIdleConnections`"),
    ("keepalive_timeout", "`timeouts.keepAlive`, and `timeouts.upstreamKeepAlive` of upstreams"),
    ("large_client_header_buffers", "`limits.headerBytes` and `limits.uriBytes`"),
    ("least_conn", "`balance: leastConnections` of an upstream"),
    ("limit_conn", "`lua.access` of a route"),
    ("limit_req", "`lua.access` of a route"),
    ("listen", "`listeners`"),
    ("location", "`routes`, each with its `match.path`"),
    ("lua_ssl_protocols", "`lua.sockets.tlsProtocols`"),
    ("map", "`vars` with `lua`"),
    ("proxy_connect_timeout", "`timeouts.connect`"),
    ("proxy_next_upstream", "`retry` of an upstream"),
    ("proxy_next_upstream_tries", "`retry.attempts` of an upstream"),
    ("proxy_pass", "`upstream` of a route"),
    ("proxy_read_timeout", "`timeouts.firstByte` and `timeouts.upstreamIdle`"),
    ("proxy_send_timeout", "`timeouts.upstreamIdle`"),
    ("proxy_set_header", "`ngx.req.set_header` in `lua.access` of a route"),
    ("proxy_ssl_certificate", "`tls.clientCertificate` of an upstream"),
    ("proxy_ssl_certificate_key", "`tls.clientKey` of an upstream"),
    ("proxy_ssl_name", "`tls.serverName` of an upstream"),
    ("proxy_ssl_trusted_certificate", "`tls.trustedCertificate` of an upstream"),
    ("proxy_ssl_verify", "`tls.verify` of an upstream"),
    ("resolver", "`lua.sockets.resolver`"),
    ("resolver_timeout", "`lua.sockets.resolverTimeout`"),
    ("rewrite", "`return` of a route, or `lua.rewrite`"),
    ("root", "`static.root` of a route"),
    ("send_timeout", "`timeouts.send`"),
    ("server", "`listeners`, and `match.hosts` of routes"),
    ("server_name", "`match.hosts` of a route"),
    ("set", "`vars`"),
    ("set_real_ip_from", "`trustedProxies`"),
    ("ssl_certificate", "`listeners[].tls`"),
    ("ssl_certificate_key", "`listeners[].tls`"),
    ("ssl_client_certificate", "`listeners[].clientCertificates`"),
    ("ssl_protocols", "`listeners[].tlsProtocols`"),
    ("ssl_stapling_file", "`listeners[].tls[].staple`"),
    ("ssl_verify_client", "`listeners[].clientCertificates`"),
    ("stub_status", "`/metrics` of the Admin API"),
    ("worker_connections", "`limits.connections`"),
    ("worker_processes", "`workers`"),
];

/// Where the work of `directive` is done here.
pub(crate) fn place_of(directive: &str) -> Option<&'static str> {
    KEYS.iter().find(|(name, _)| *name == directive).map(|(_, place)| *place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_has_one_place() {
        assert!(KEYS.is_sorted_by(|a, b| a.0 < b.0), "in order, and each once");
        assert_eq!(place_of("client_max_body_size"), Some("`limits.bodyBytes`"));
        assert_eq!(place_of("limits"), None);
    }

    #[test]
    fn the_page_for_those_who_come_from_nginx_has_all_of_them() {
        let page = include_str!("../../../docs/openresty.md");
        for (directive, _) in KEYS {
            assert!(page.contains(&format!("`{directive}")), "docs/openresty.md says nothing of {directive}");
        }
    }
}
