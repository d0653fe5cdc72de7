//! Instances that get only so many requests at a time.

use tidegate_testkit::{Tidegate, eventually};

use crate::{PATIENCE, TIDEGATE, fleets, instances, load::Load};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets:
  app:
    run: { lua: app.lua }
    driver: thread
    concurrency: 2
    scale: { min: 0, max: 6, triggers: [{ target: { metric: utilization, value: 70% } }] }
upstreams: { app: { fleet: app } }
routes: [{ name: app, match: { path: /* }, upstream: app }]
";

/// Waits for something else, so that its processor tells nothing, and refuses a third request at a time.
const APP: &str = "
local hands = package.loaded.hands or { now = 0 }
package.loaded.hands = hands
hands.now = hands.now + 1
local now = hands.now
ngx.sleep(0.1)
hands.now = hands.now - 1
if now > 2 then return ngx.exit(500) end
ngx.say('done')
";

#[test]
fn an_instance_never_has_more_and_a_fleet_grows_when_all_are_full() {
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", APP).start(CONFIG);
    // Six at a time are three full instances.
    let load = Load::without_end(&format!("http://{}/", tidegate.addr()), 60);
    eventually(PATIENCE, "there is one for every two", || instances(&tidegate, "ready").len() >= 3);
    load.end();
    assert_eq!(fleets(&tidegate)["items"][0]["concurrency"], 2);
}
