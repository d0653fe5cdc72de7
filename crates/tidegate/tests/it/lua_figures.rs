//! Fleets that scale by what their Lua does.

use std::{fs, thread};

use tidegate_testkit::{Tidegate, eventually, http};

use crate::{PATIENCE, TIDEGATE, fleets};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
lua: { sharedDicts: { seen: 64KiB } }
fleets:
  app:
    run: { lua: app.lua }
    driver: DRIVER
    scale:
      min: 1
      max: 20
      triggers:
        - formula:
            expression: >-
              1 + (luaDicts > 0.5) + 2 * (luaCoroutines >= 3) + 4 * (route_burn_cpu > 0.05)
              + 8 * (luaCollecting > 0.0001) * (luaAllocation > 1000000)
      behavior: { scaleIn: { stabilization: 0s } }
upstreams: { app: { fleet: app } }
routes:
  - { name: burn, match: { path: /burn }, lua: { content: burn.lua } }
  - { name: app, match: { path: /* }, upstream: app }
";

const APP: &str = "
if ngx.var.uri == '/fill' then
  for i = 1, 40 do ngx.shared.seen:set('key ' .. i, string.rep('x', 1000)) end
elseif ngx.var.uri == '/wait' then
  -- A file, because a request that opened this gate would go to an instance that has nothing to do.
  local gate
  repeat ngx.sleep(0.02) gate = io.open('GATE') until gate
  gate:close()
elseif ngx.var.uri == '/litter' then
  local litter = {}
  for i = 1, 40 do litter[i] = ngx.var.request_id .. string.rep('x', 100000) .. i end
end
ngx.say('ok')
";

const BURN: &str = "
local began = os.clock()
while os.clock() - began < 0.02 do end
ngx.say('ok')
";

#[test]
fn coroutines_dictionaries_garbage_and_the_time_of_a_route_decide() {
    for driver in ["thread", "process"] {
        let folder = tempfile::tempdir().unwrap();
        let gate = folder.path().join("open");
        let app = APP.replace("GATE", gate.to_str().unwrap());
        let setup = Tidegate::setup(TIDEGATE).file("app.lua", &app).file("burn.lua", BURN);
        let tidegate = setup.start(&CONFIG.replace("DRIVER", driver));
        let addr = tidegate.addr();
        let desired = || fleets(&tidegate)["items"][0]["desired"].as_u64();
        let ask = move |path: &'static str| thread::spawn(move || http::get(addr, path).status);
        eventually(PATIENCE, "one instance does", || desired() == Some(1));
        let waiting: Vec<_> = (0..3).map(|_| ask("/wait")).collect();
        eventually(PATIENCE, "three coroutines wait", || desired() == Some(3));
        fs::write(&gate, "").unwrap();
        eventually(PATIENCE, "they go on", || waiting.iter().all(thread::JoinHandle::is_finished));
        assert!(waiting.into_iter().all(|one| one.join().unwrap() == 200));
        eventually(PATIENCE, "nothing waits", || desired() == Some(1));
        eventually(PATIENCE, "a route of the gateway takes its time", || {
            assert_eq!(http::get(addr, "/burn").status, 200);
            desired() == Some(5)
        });
        eventually(PATIENCE, "nothing takes time", || desired() == Some(1));
        eventually(PATIENCE, "litter is made and collected", || {
            assert_eq!(http::get(addr, "/litter").status, 200);
            desired() == Some(9)
        });
        eventually(PATIENCE, "no more of it", || desired() == Some(1));
        assert_eq!(http::get(addr, "/fill").status, 200);
        eventually(PATIENCE, "a dictionary is half full", || desired() == Some(2));
    }
}
