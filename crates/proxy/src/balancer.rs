//! The balancer phase: Lua chooses where an attempt goes.

use std::rc::Rc;

use tidegate_lua::{Choice, Phase, Verdict};

use crate::{
    connection::Connection,
    error::Error,
    lua,
    plugin::Plugin,
    respond::CLOSE,
    site::Route,
    upstream::{Member, Upstream},
};

/// Runs `plugin` before an attempt. Where the script chooses no peer, the upstream does.
pub(crate) async fn choose(
    connection: &mut Connection,
    route: &Route,
    upstream: &Upstream,
    plugin: &Plugin,
) -> Result<Option<Rc<Member>>, Error> {
    let Connection { line, exchange } = connection;
    let choice = exchange.lua.choice.get_or_insert_with(Box::default);
    choice.begin();
    choice.has_tls = upstream.has_tls();
    let verdict = lua::run_detached(&line.worker, route, plugin, Phase::Balancer, exchange).await?;
    match verdict {
        Verdict::Continue | Verdict::Exit(0) => {}
        Verdict::Exit(CLOSE) => {
            exchange.response.status = CLOSE;
            return Err(Error::ClientGone);
        }
        // What is no refusal would be an answer that nobody has made.
        Verdict::Exit(code) => return Err(Error::Exit(if code < 400 { 500 } else { code })),
    }
    let peer = exchange.lua.choice.as_ref().and_then(|choice| choice.peer);
    Ok(peer.map(|peer| upstream.at(peer)))
}

/// Whether a peer that the script chose, and that failed as `error` says, may be followed by another.
pub(crate) fn may_retry(choice: Option<&mut Choice>, error: &Error) -> bool {
    choice.is_some_and(|choice| {
        choice.failure = Some(error.status());
        choice.take_try()
    })
}
