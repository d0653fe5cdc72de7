//! What recordings see of Lua that runs.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use tidegate_core::{
    FleetId, RouteId,
    flame::{Recording, Subject, Wish},
    snapshot::{Budget, LuaSettings},
};
use tidegate_lua::{Exchange as _, Phase, Step, flame};

use crate::support::{Host, Request};

/// One function works three times as long as the other, in loops that are compiled.
const BURN: &str = "
local function work(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
local function most(n) return (work(n)) + 1 end
local function least(n) return (work(n)) + 1 end
local s = 0
for i = 1, 20 do s = s + most(30000) + least(10000) end
ngx.ctx.s = s";

/// A recording looks at all VMs of the process that offer themselves.
static ALONE: Mutex<()> = Mutex::new(());

/// Microseconds of samples, of about one each millisecond, after which shares hardly depend on luck.
const ENOUGH: u64 = 400_000;

/// Runs scripts of routes, one after the other, while somebody records, until they have run for long enough. How many
/// recordings that takes is up to what else the machine does.
fn recorded(settings: &LuaSettings, scripts: &[(&str, &str)], subject: &Subject) -> Recording {
    let mut all = Recording::default();
    for _ in 0..60 {
        all.merge(&recorded_for(Wish { seconds: 1, subject: subject.clone() }, settings, scripts));
        if total(&all) >= ENOUGH {
            return all;
        }
    }
    panic!("the machine let nothing run for a minute: {all:#?}");
}

fn recorded_for(wish: Wish, settings: &LuaSettings, scripts: &[(&str, &str)]) -> Recording {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let host = Host::with_settings(settings);
    let offer = host.vm.offer();
    let recorder = thread::spawn(move || flame::record(&wish).unwrap());
    let handlers: Vec<_> = scripts
        .iter()
        .map(|(route, source)| (host.vm.label(&RouteId::new(route).unwrap()), host.load(source)))
        .collect();
    while !recorder.is_finished() {
        if let Poll::Ready(()) = pin!(offer.asked()).poll(&mut Context::from_waker(Waker::noop())) {
            host.vm.attend(&offer);
        }
        for (label, handler) in &handlers {
            let mut request = Request::get("/");
            request.state().label = *label;
            match host.vm.start(handler, Phase::Access, &mut request) {
                Step::Done(_) | Step::Failed(_) => {}
                Step::Wait(_) => panic!("nothing here waits"),
            }
            host.vm.finish(request.state());
        }
    }
    recorder.join().unwrap()
}

/// The share of the time that stacks with this in them took.
fn share(recording: &Recording, part: &str) -> f64 {
    let of_part = recording.stacks.iter().filter(|(stack, _)| stack.contains(part)).map(|(_, micros)| micros);
    of_part.sum::<u64>() as f64 / total(recording) as f64
}

fn total(recording: &Recording) -> u64 {
    recording.stacks.values().sum()
}

#[test]
fn compiled_functions_are_seen_in_proportion_to_their_time() {
    let recording = recorded(&LuaSettings::default(), &[("orders", BURN)], &Subject::All);
    let (most, least) = (share(&recording, "most (test.lua:3)"), share(&recording, "least (test.lua:4)"));
    assert!((2.0..4.5).contains(&(most / least)), "{recording:#?}");
    assert!(most + least > 0.9, "{recording:#?}");
    let stack = "route orders;access;main chunk (test.lua);most (test.lua:3);work (test.lua:2)";
    assert!(recording.stacks.keys().any(|seen| seen.starts_with(stack)), "{recording:#?}");
    assert!(recording.vms > 0 && recording.missed == 0, "{recording:#?}");
    assert!(recording.time.compiled > recording.time.lua() / 2, "{:?}", recording.time);
}

#[test]
fn one_route_can_be_looked_at_alone() {
    let route = RouteId::new("orders").unwrap();
    let scripts = [("orders", BURN), ("mail", "local s = 0 for i = 1, 3e5 do s = s + i % 5 end")];
    let recording = recorded(&LuaSettings::default(), &scripts, &Subject::Route { route, fleet: None });
    assert!(recording.samples > 0, "{recording:#?}");
    assert!((share(&recording, "route orders;access;") - 1.0).abs() < 1e-9, "{recording:#?}");
    assert!(recording.time.other_lua > 0, "{:?}", recording.time);
}

#[test]
fn an_instance_is_told_by_its_fleet_and_the_collector_by_its_name() {
    let settings = LuaSettings { fleet: Some(FleetId::new("web").unwrap()), ..LuaSettings::default() };
    let waste = "local t = {} for i = 1, 1e5 do t[i % 5000] = { i, tostring(i) } end";
    let recording = recorded(&settings, &[("app", waste)], &Subject::All);
    assert!((share(&recording, "fleet web;access;") - 1.0).abs() < 1e-9, "{recording:#?}");
    assert!(share(&recording, "[garbage collector]") > 0.0, "{recording:#?}");
}

#[test]
fn what_is_collected_between_runs_is_seen_too() {
    let waste = "local t = {} for i = 1, 500 do t[i] = { i, tostring(i) } end";
    let recording = recorded(&LuaSettings::default(), &[("web", waste)], &Subject::All);
    assert!(share(&recording, "route web;access;[garbage collector]") > 0.0, "{recording:#?}");
    assert!(recording.time.garbage_collector > 0);
}

#[test]
fn what_crosses_its_budget_is_ended_while_it_is_looked_at() {
    let budget = Budget { cpu: Duration::from_millis(20), memory_bytes: 0 };
    let settings = LuaSettings { budget, ..LuaSettings::default() };
    let recording =
        recorded(&settings, &[("endless", "local n = 0 while true do n = n + 1 end")], &Subject::All);
    assert!(share(&recording, "route endless;access;main chunk (test.lua)") > 0.9, "{recording:#?}");
}

#[test]
fn scripts_do_not_get_the_profiler() {
    let said = Host::new().say("ngx.say(select(2, pcall(require, 'jit.profile')))");
    assert!(said.contains("tidegate flame"), "{said}");
}
