//! Sessions that scripts keep.

use rustls::version::{TLS12, TLS13};
use tidegate_testkit::servers::Authority;

use crate::{
    node::Running,
    secure::{Trusting, scripted},
};

/// A listener whose sessions these scripts keep, and that tells of each connection whether it goes on with one.
fn keeping(authority: &Authority, store: &str, fetch: &str) -> Running {
    let block = |code: &str| code.replace('\n', "\n        ");
    let rest = format!(
        "      sslSessionStore: |
        {}
      sslSessionFetch: |
        {}
lua: {{ sharedDicts: {{ kept: 1MiB }} }}
routes: [{{ lua: {{ content: \"ngx.print(ngx.var.ssl_session_reused, ngx.shared.kept:get('runs') or '')\" }} }}]
",
        block(store),
        block(fetch)
    );
    Running::start(&scripted(authority, "-- nothing", &rest))
}

/// Whether the connections of a client go on with a session, and what the scripts have counted.
fn told(running: &Running, client: &Trusting) -> [String; 2] {
    [(); 2].map(|()| client.connect(running.addr()).get("/").unwrap().text().to_owned())
}

const STORE: &str = "local session = require 'ngx.ssl.session'
ngx.shared.kept:set(session.get_session_id(), session.get_serialized_session())";

const FETCH: &str = "local session = require 'ngx.ssl.session'
ngx.sleep(0.001)
local kept = ngx.shared.kept:get(session.get_session_id())
if kept then session.set_serialized_session(kept) end
ngx.shared.kept:incr('runs', 1, 0)";

#[test]
fn a_client_goes_on_with_a_session_that_a_script_has_kept() {
    let Some(authority) = Authority::new() else { return };
    for versions in [&[&TLS12][..], &[&TLS13], &[&TLS12, &TLS13]] {
        let running = keeping(&authority, STORE, FETCH);
        let client = Trusting::speaking(&authority, versions);
        assert_eq!(told(&running, &client), [".", "r1"], "{versions:?}");
        // Another client has another session, or none; it does not ask.
        let other = Trusting::speaking(&authority, versions);
        assert_eq!(other.connect(running.addr()).get("/").unwrap().text(), ".1");
    }
}

#[test]
fn without_what_was_kept_all_of_the_handshake_is_done() {
    let Some(authority) = Authority::new() else { return };
    let garbage = "ngx.shared.kept:incr('runs', 1, 0)
assert(not require 'ngx.ssl.session'.set_serialized_session 'garbage')";
    let spoilt = "local session = require 'ngx.ssl.session'
local kept = ngx.shared.kept:get(session.get_session_id())
assert(session.set_serialized_session(kept:sub(1, 40) .. kept:sub(60)))
ngx.shared.kept:incr('runs', 1, 0)";
    let fails = "ngx.shared.kept:incr('runs', 1, 0) error('cannot say')";
    let leaves = "ngx.shared.kept:incr('runs', 1, 0) ngx.exit(ngx.ERROR)";
    for fetch in [garbage, spoilt, fails, leaves] {
        for versions in [[&TLS12], [&TLS13]] {
            let running = keeping(&authority, STORE, fetch);
            let client = Trusting::speaking(&authority, &versions);
            assert_eq!(told(&running, &client), [".", ".1"], "{fetch}");
        }
    }
}

#[test]
fn a_session_that_cannot_be_kept_costs_the_client_nothing() {
    let Some(authority) = Authority::new() else { return };
    for store in ["error('full')", "ngx.exit(ngx.ERROR)", "ngx.shared.kept:set('a', 'b')"] {
        for versions in [[&TLS12], [&TLS13]] {
            let running = keeping(&authority, store, FETCH);
            let client = Trusting::speaking(&authority, &versions);
            assert_eq!(told(&running, &client), [".", ".1"], "{store}");
        }
    }
}

#[test]
fn the_scripts_of_a_handshake_share_what_they_keep_with_its_requests() {
    let Some(authority) = Authority::new() else { return };
    let note = |what: &str| format!("ngx.ctx.told = (ngx.ctx.told or '') .. ' {what}'");
    let rest = format!(
        "      sslClientHello: \"{}\"
      sslSessionStore: \"{}\"
      sslSessionFetch: \"{}\"
routes: [{{ lua: {{ content: ngx.print(ngx.ctx.told) }} }}]
",
        note("hello"),
        note("store"),
        note("fetch")
    );
    let running = Running::start(&scripted(&authority, &note("certificate"), &rest));
    let client = Trusting::new(&authority);
    assert_eq!(told(&running, &client), [" hello certificate store", " hello fetch certificate store"]);
}

#[test]
fn what_is_kept_is_seen_in_its_phases_alone() {
    let Some(authority) = Authority::new() else { return };
    let store = "local session = require 'ngx.ssl.session'
local ok, why = session.set_serialized_session(session.get_serialized_session())
ngx.shared.kept:set('runs', ' ' .. tostring(ok) .. ' ' .. why .. ' ' .. ngx.get_phase())";
    let running = keeping(&authority, store, "-- nothing");
    let client = Trusting::new(&authority);
    assert_eq!(
        client.connect(running.addr()).get("/").unwrap().text(),
        ". nil bad lua context ssl_session_store"
    );
}
