//! What a running fleet decides can be decided again, and the next process goes on from it.

use tidegate_control::journal::read::Reader;
use tidegate_core::FleetId;
use tidegate_scaler::record::{Chain, Replayed};

use crate::world::{Folder, config, run, run_in, until};

const SCALE: &str = "    scale: { min: 1, max: 3, price: 0.1, triggers: [{ target: { metric: utilization, value: 40% } }],\n      \
     candidate: { max: 2 } }\n";

fn replay(folder: &Folder) -> (usize, u64) {
    let mut reader = Reader::open(&folder.path().join("state")).unwrap();
    let (mut chain, mut steps) = (Chain::default(), 0);
    while let Some((place, entry)) = reader.next_entry().unwrap() {
        let replayed = chain.follow(&entry.record);
        let Replayed::Same(verdict) = replayed else { panic!("{place}: {replayed:?}") };
        assert!(verdict.candidate.is_some());
        steps += 1;
    }
    assert!(reader.broken().is_empty());
    (steps, chain.number())
}

#[test]
fn busy_instances_are_joined_by_others_and_the_journal_replays_it() {
    let handle = run(&config("{ lua: app.lua }", SCALE), "-- busy 0.9", async |world| {
        world.until_ready(3).await;
        let fleet = world.until("figures", |fleet| fleet.metrics.utilization.is_some()).await;
        assert!((fleet.metrics.utilization.unwrap() - 0.9).abs() < 0.01, "{:?}", fleet.metrics);
        assert_eq!(fleet.metrics.arrival_rate, Some(0.0));
        assert!(fleet.metrics.memory.unwrap() > 0.0 && fleet.metrics.cpu.is_some());
        let decision = fleet.last_decision.unwrap();
        let reasons = decision.decision.reasons();
        assert_eq!(decision.decision.desired, 3);
        assert!(reasons[0].contains("busy"), "{reasons:?}");
        assert!(decision.decision.otherwise.iter().any(|one| one.case == "HPA at 70%"), "{decision:?}");
        assert!(fleet.start_up_seconds.unwrap() > 0.0 && fleet.instance_seconds > 0.0);
        let candidate =
            world.until("the candidate", |fleet| fleet.candidate.as_ref().unwrap().desired == 2).await;
        assert_eq!(
            (candidate.desired, candidate.recommended),
            (3, 3),
            "a candidate only says what it would do"
        );
        let cost = candidate.cost;
        assert!(cost.instance_hours > 0.0 && cost.candidate_instance_hours.is_some());
        assert!((cost.usd.unwrap() - cost.instance_hours * 0.1).abs() < 1e-12);
        let known = world.handle.decisions(&FleetId::new("f").unwrap(), None, 100).unwrap();
        assert!(known.iter().any(|page| page.decision.desired == 3));
        let rounds =
            until("rounds", || Some(world.handle.view().rounds).filter(|rounds| rounds.count > 2)).await;
        assert!(rounds.seconds > 0.0);
        until("the journal", || replay(&world.folder).0.checked_sub(2)).await;
    });
    assert_eq!(handle.view().journal_lost, 0);
}

#[test]
fn the_next_process_knows_what_the_last_one_learned() {
    let folder = Folder::new(&config("{ lua: app.lua }", SCALE), "-- busy 0.9");
    let (fleet, folder) = run_in(folder, async |world| {
        world.until_ready(3).await;
        world.until("start-ups", |fleet| fleet.start_up_seconds.is_some() && fleet.changes > 0).await
    });
    let (steps, last) = replay(&folder);
    assert_eq!(steps as u64, last);
    let ((), folder) = run_in(folder, async |world| {
        let known = world.until("the count", |fleet| fleet.desired == 3).await;
        assert_eq!(known.changes, 0, "without a decision: {known:?}");
        let step = world.until("a step", |fleet| fleet.last_step.is_some()).await;
        assert!(step.start_up_seconds.is_some());
        assert!(step.cost.instance_hours >= fleet.cost.instance_hours && step.cost.since == fleet.cost.since);
        let told = world.handle.decisions(&FleetId::new("f").unwrap(), None, 100).unwrap();
        assert!(told.iter().any(|page| page.decision.desired == 3), "what was decided before is told");
    });
    assert!(replay(&folder).1 > last + 1);
}
