//! Collecting garbage: its pauses are told, it keeps up, and scripts may have it otherwise.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tidegate_lua::Collection;

use crate::support::Host;

/// A host, and the pauses that its VM tells of.
fn watched() -> (Host, Rc<RefCell<Vec<Collection>>>) {
    let (host, told) = (Host::new(), Rc::<RefCell<Vec<_>>>::default());
    let sink = Rc::clone(&told);
    host.vm.set_collection_sink(move |collection| sink.borrow_mut().push(collection));
    (host, told)
}

fn cycles(told: &RefCell<Vec<Collection>>) -> u32 {
    told.borrow().iter().map(|one| one.cycles).sum()
}

const LITTER: &str = "local t = {} for i = 1, 100 do t[i] = { i } end ngx.say(#t)";

#[test]
fn what_many_runs_leave_is_collected_between_them() {
    let (host, told) = watched();
    let handler_memory = (0..3_000).map(|_| {
        host.say(LITTER);
        host.vm.memory_bytes()
    });
    let most = handler_memory.max().unwrap();
    assert!(most < 4 << 20, "{most} bytes");
    assert!(cycles(&told) >= 3, "{}", cycles(&told));
    let paused: Duration = told.borrow().iter().filter_map(|one| one.pause).sum();
    assert!(paused > Duration::ZERO);
    assert!(told.borrow().len() > 100, "in small parts: {}", told.borrow().len());
}

#[test]
fn a_run_that_never_waits_is_collected_as_it_goes_on() {
    let (host, told) = watched();
    host.say(LITTER);
    let most = host.say(
        "local most = 0
        for i = 1, 1e6 do
            local t = { { i } }
            if i % 100 == 0 then most = math.max(most, collectgarbage('count')) end
        end
        ngx.print(most < 8192)",
    );
    assert_eq!(most, "true");
    host.say(LITTER);
    assert!(cycles(&told) > 10, "those are counted too: {}", cycles(&told));
}

#[test]
fn a_script_may_have_garbage_kept_or_collected_when_it_wants() {
    let (host, told) = watched();
    host.say("collectgarbage('stop')");
    (0..300).for_each(|_| drop(host.say(LITTER)));
    assert_eq!((told.borrow().len(), cycles(&told)), (0, 0));
    host.say("collectgarbage() collectgarbage()");
    host.say(LITTER);
    assert!(cycles(&told) >= 2);
    let pause = "ngx.print(collectgarbage('setpause', 150), collectgarbage('setpause', 300), collectgarbage('setpause', 200))";
    host.say(LITTER);
    assert_eq!(host.say(pause), "300150300");
}

#[test]
fn what_one_run_leaves_is_collected_in_parts_after_those_that_follow() {
    let (host, told) = watched();
    host.say("kept = {} for i = 1, 40000 do kept[i] = { i } end collectgarbage()");
    let parts = || told.borrow().iter().filter(|one| one.pause.is_some()).count();
    let before = parts();
    // Less each than what is collected for within a run.
    let begun = (0..200).any(|_| {
        host.say("local t = {} for i = 1, 4000 do t[i] = { i } end");
        parts() > before
    });
    assert!(begun, "{before}");
    // None of it is these runs' own.
    let before = parts();
    (0..20).for_each(|_| drop(host.say("return")));
    assert!((5..20).contains(&(parts() - before)), "{before}, {}", parts());
}
