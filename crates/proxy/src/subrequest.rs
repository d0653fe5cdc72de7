//! Requests within a request: they take the way that requests of clients take, and Lua gets the answer.
//!
//! A subrequest has an exchange of its own, so many can be served at once, whatever becomes of the request that made
//! them. It finds its route as any other, internal ones too; access has been granted to the one around it.

use tidegate_lua::{Captured, Capturing, Exchange as _, Sharing, Subrequest, SubrequestBody};

use crate::{
    connection::{Connection, find_route},
    exchange::Exchange,
    http::{body::Framing, fields::Kind},
    line::Line,
    peer::{Capture, Peer},
    request_body::Body,
    site::Site,
};

/// How deep requests may be within each other.
pub(crate) const DEPTH: u32 = 50;

/// Serves a request within `exchange`'s. What comes back is in its place already: it is large, and would be copied whenever
/// it is passed on.
pub(crate) fn serve(outer: &Exchange, subrequest: Subrequest) -> Result<Capturing, String> {
    if outer.depth >= DEPTH {
        let path = String::from_utf8_lossy(&subrequest.path);
        tracing::error!("lua subrequests cycle while processing \"{path}\"");
        return Err("failed to issue subrequest: -1".into());
    }
    let site = outer.site.clone().ok_or("no request found")?;
    let worker = std::rc::Rc::clone(&outer.worker);
    let shares = subrequest.sharing == Sharing::All;
    let mut exchange = outer.within();
    compose(&mut exchange, outer, subrequest)?;
    Ok(Box::pin(async move {
        let limit = site.snapshot.limits.lua_body_bytes;
        let line = Line::new(worker, Peer::Lua(Capture::new(limit)));
        let mut connection = Connection { line, exchange };
        connection.line.begin(&connection.exchange.request, &site.snapshot.limits);
        let complete = if let Some(route) = find_route(&site, &connection.exchange) {
            connection.respond(&site, route).await.1.is_ok()
        } else {
            connection.exchange.response.status = 404;
            true
        };
        captured(&site, connection, complete, shares)
    }))
}

fn compose(exchange: &mut Exchange, outer: &Exchange, subrequest: Subrequest) -> Result<(), String> {
    let Subrequest { method, path, args, body, vars, sharing, headers, state } = subrequest;
    exchange.lua = state;
    if sharing != Sharing::Nothing {
        exchange.variables.clone_from(&outer.variables);
    }
    let request = &mut exchange.request;
    request.compose(&outer.request, &method, &path, &args);
    exchange.body = match body {
        SubrequestBody::None => None,
        SubrequestBody::Own(bytes) => Some(Body::Memory(bytes)),
        SubrequestBody::Inherited => outer.body.as_ref().map(Body::share),
    };
    for kind in [Kind::ContentLength, Kind::TransferEncoding, Kind::Expect] {
        request.fields.remove_kind(kind);
    }
    if let Some(body) = &exchange.body {
        let length = body.len();
        request.framing = Framing::Length(length);
        request.fields.push(b"Content-Length", length.to_string().as_bytes());
    }
    for (name, value) in &headers {
        // What is no header is left out.
        let _ = request.fields.set(name, &[value]);
    }
    request.find_host();
    for (name, value) in vars {
        set(exchange, &name, &value)?;
    }
    Ok(())
}

/// Sets a variable, which has to be one that can be.
fn set(exchange: &mut Exchange, name: &[u8], value: &[u8]) -> Result<(), String> {
    if exchange.set_variable(name, value) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(name);
    Err(if exchange.variable(name).is_some() || name == b"query_string" {
        format!("variable \"{shown}\" not changeable")
    } else {
        format!("variable \"{shown}\" cannot be assigned a value (maybe you forgot to define it first?)")
    })
}

fn captured(site: &Site, mut connection: Connection, complete: bool, shares: bool) -> Captured {
    let exchange = &mut connection.exchange;
    site.vm.finish(&mut exchange.lua);
    let fields = exchange.response.fields.iter().filter(|(kind, ..)| !kind.is_hop_by_hop());
    let headers = fields.map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect();
    let vars = std::mem::take(&mut exchange.variables);
    let vars = vars.into_iter().map(|(name, value)| (name.into_bytes(), value));
    let Peer::Lua(capture) = connection.line.stream else { return Captured::default() };
    // 444 says that the connection is to be closed, and there is none.
    let status = if exchange.response.status == 444 { 500 } else { exchange.response.status };
    Captured {
        status,
        headers,
        body: capture.bytes,
        truncated: capture.truncated || !complete,
        vars: if shares { vars.collect() } else { Vec::new() },
    }
}
