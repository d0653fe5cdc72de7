//! Lets a route's `bodyFilter` at the pieces of an answer's body.

use tidegate_lua::{Handler, Phase};

use crate::{error::Error, exchange::Exchange, lua, site::Route, worker::Worker};

/// Runs the filter on one piece and appends what it passes on. Nothing passes behind a piece that was the last.
pub(crate) async fn pass(
    worker: &Worker,
    route: &Route,
    filter: &Handler,
    exchange: &mut Exchange,
    piece: &[u8],
    last: bool,
    output: &mut Vec<u8>,
) -> Result<(), Error> {
    if exchange.body_ended {
        return Ok(());
    }
    let arguments = &mut exchange.lua.arguments;
    piece.clone_into(&mut arguments.piece);
    arguments.last = last;
    lua::run_detached(worker, route, filter, Phase::BodyFilter, exchange).await?;
    output.extend_from_slice(&exchange.lua.arguments.piece);
    exchange.body_ended = last || exchange.lua.arguments.last;
    Ok(())
}

/// Puts in the place of what was written for the client what the filter makes of it. Each call that wrote is a
/// piece; the end is one of its own unless all was written at once.
pub(crate) async fn written(
    worker: &Worker,
    route: &Route,
    filter: &Handler,
    exchange: &mut Exchange,
    last: bool,
) -> Result<(), Error> {
    let written = std::mem::take(&mut exchange.written);
    let ends = std::mem::take(&mut exchange.ends);
    let (mut output, mut start) = (Vec::new(), 0);
    for &end in &ends {
        pass(worker, route, filter, exchange, &written[start..end], false, &mut output).await?;
        start = end;
    }
    if last || start < written.len() {
        pass(worker, route, filter, exchange, &written[start..], last, &mut output).await?;
    }
    exchange.written = output;
    Ok(())
}
