//! Lets a route's `bodyFilter` at the pieces of an answer's body.

use tidegate_lua::Phase;

use crate::{error::Error, exchange::Exchange, lua, plugin::Plugin, site::Route, worker::Worker};

/// Runs the filter on the piece that is in its arguments, where what it passes on is afterwards. Nothing passes behind a
/// piece that was the last.
pub(crate) async fn pass(
    worker: &Worker,
    route: &Route,
    filter: &Plugin,
    exchange: &mut Exchange,
    last: bool,
) -> Result<(), Error> {
    if exchange.body_ended {
        exchange.lua.arguments.piece.clear();
        return Ok(());
    }
    exchange.lua.arguments.last = last;
    // A filter that fails is not asked again.
    exchange.body_ended = true;
    lua::run_detached(worker, route, filter, Phase::BodyFilter, exchange).await?;
    exchange.body_ended = last || exchange.lua.arguments.last;
    Ok(())
}

/// Puts in the place of what was written for the client what the filter makes of it. Each call that wrote is a
/// piece; the end is one of its own unless all was written at once.
pub(crate) async fn written(
    worker: &Worker,
    route: &Route,
    filter: &Plugin,
    exchange: &mut Exchange,
    last: bool,
) -> Result<(), Error> {
    let written = std::mem::take(&mut exchange.written);
    let ends = std::mem::take(&mut exchange.ends);
    let (mut output, mut start) = (Vec::new(), 0);
    let mut pieces: Vec<_> = ends.iter().map(|&end| (end, false)).collect();
    if last || ends.last().copied().unwrap_or_default() < written.len() {
        pieces.push((written.len(), last));
    }
    for (end, last) in pieces {
        written[start..end].clone_into(&mut exchange.lua.arguments.piece);
        pass(worker, route, filter, exchange, last).await?;
        output.extend_from_slice(&exchange.lua.arguments.piece);
        start = end;
    }
    exchange.written = output;
    Ok(())
}
