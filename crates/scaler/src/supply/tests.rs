use super::*;

fn pool(name: &str, kind: PoolKind, price: f64, max: u32) -> Pool {
    let name = PoolId::new(name).unwrap();
    Pool { name, kind, price, capacity: 1.0, start_up: None, interruption: 0.0, max }
}

fn market() -> Supply {
    let spot = |name| pool(name, PoolKind::Spot, 0.03, 100);
    let (steady, paid) =
        (pool("steady", PoolKind::OnDemand, 0.1, 100), pool("paid", PoolKind::Reserved, 0.06, 2));
    Supply { pools: vec![steady, paid, spot("a"), spot("b"), spot("c")], budget: None }
}

/// What is chosen at `second` where `reclaimed` names pools that just took an instance back.
fn choose(pools: &mut Pools, wanted: u32, second: u64, reclaimed: &[&str]) -> Mix {
    let seen = |name: &&str| (PoolId::new(name).unwrap(), PoolSeen { reclaimed: 1, ..PoolSeen::default() });
    let seen = reclaimed.iter().map(seen).collect();
    let now = (Duration::from_secs(second), None);
    pools.choose(&market(), wanted, &seen, now, Words::Spoken)
}

fn counts(mix: &Mix) -> Vec<u32> {
    mix.shares.iter().map(|share| share.count).collect()
}

#[test]
fn a_mix_names_pools_prices_and_the_reason() {
    let mix = choose(&mut Pools::default(), 20, 0, &[]);
    assert_eq!(counts(&mix), [0, 2, 9, 9, 9]);
    assert_eq!(
        mix.because,
        "2 of paid (reserved, 0.06 USD/h), 9 of a (spot, 0.03 USD/h), 9 of b (spot, 0.03 USD/h), \
         9 of c (spot, 0.03 USD/h): the cheapest that is 20 instances without its largest spot pool too; \
         0.93 USD/h, on demand 2"
    );
    assert!(mix.moved);
}

#[test]
fn a_pool_that_took_an_instance_back_is_let_alone_until_that_costs_what_it_may_save() {
    let mut pools = Pools::default();
    choose(&mut pools, 20, 0, &[]);
    let mix = choose(&mut pools, 20, 5, &["a"]);
    // 130 s for an interruption, of which 0.07 of 0.10 USD are saved.
    assert_eq!(counts(&mix), [0, 2, 0, 18, 18]);
    assert!(
        mix.moved && mix.because.ends_with("; a took instances back and is let alone for a while"),
        "{mix:?}"
    );
    assert_eq!(counts(&choose(&mut pools, 20, 190, &[])), [0, 2, 0, 18, 18]);
    assert_eq!(counts(&choose(&mut pools, 20, 191, &[])), [0, 2, 9, 9, 9]);
}

#[test]
fn who_starts_quickly_asks_again_soon() {
    let pauses = [0, 2, 10, 30, 120].map(|start_up| {
        let start_up = Duration::from_secs(start_up);
        first_pause(&pool("a", PoolKind::Spot, 0.03, 9), 0.1, start_up).as_secs()
    });
    assert_eq!(pauses, [30, 30, 61, 185, 314]);
}

#[test]
fn a_pool_that_takes_back_again_and_again_is_let_alone_twice_as_long_each_time() {
    let mut pools = Pools::default();
    let mut second = 0;
    let pauses = std::array::from_fn(|_| {
        choose(&mut pools, 20, second, &[]);
        let taken = second + 1;
        choose(&mut pools, 20, taken, &["a"]);
        second = taken + 1;
        while counts(&choose(&mut pools, 20, second, &[]))[2] == 0 {
            // It is said of it while it leaves, and once more of the last of it: that is no other time.
            if second == taken + 2 {
                choose(&mut pools, 20, second, &["a"]);
            }
            second += 1;
        }
        second - taken
    });
    assert_eq!(pauses, [186, 372, 743, 1_486, 2_972, 3_600]);
    // Once it has done well for as long as it was let alone, it is as any other.
    second += 3_601;
    choose(&mut pools, 20, second, &["a"]);
    assert_eq!(counts(&choose(&mut pools, 20, second + 185, &[]))[2], 0);
    assert_eq!(counts(&choose(&mut pools, 20, second + 186, &[]))[2], 9);
}

#[test]
fn all_spot_gone_is_made_up_for_on_demand() {
    let mut pools = Pools::default();
    choose(&mut pools, 20, 0, &[]);
    let mix = choose(&mut pools, 20, 5, &["a", "b", "c"]);
    assert_eq!(counts(&mix), [18, 2, 0, 0, 0]);
}

#[test]
fn one_that_is_not_spot_is_asked_again_at_once() {
    let mut pools = Pools::default();
    choose(&mut pools, 20, 0, &[]);
    let mix = choose(&mut pools, 20, 5, &["a", "b", "c", "steady", "paid"]);
    assert_eq!(counts(&mix), [18, 2, 0, 0, 0]);
}

#[test]
fn pools_that_are_let_alone_are_asked_where_the_others_are_too_small() {
    let mut pools = Pools::default();
    let mix = choose(&mut pools, 250, 5, &["a", "b", "c"]);
    assert_eq!(counts(&mix), [48, 2, 100, 100, 100]);
    assert!(
        mix.because.ends_with("; c took instances back and is asked all the same: the others are too small"),
        "{mix:?}"
    );
}

#[test]
fn a_mix_that_is_hardly_dearer_stays() {
    let mut pools = Pools::default();
    let first = choose(&mut pools, 40, 0, &[]);
    let next = choose(&mut pools, 39, 1, &[]);
    assert_eq!((counts(&next), next.moved), (counts(&first), false));
    assert!(choose(&mut pools, 30, 2, &[]).moved);
    assert!(choose(&mut pools, 32, 3, &[]).moved, "more is wanted than is there");
}

#[test]
fn an_interruption_has_a_price() {
    let frail = Pool { interruption: 0.5, ..pool("frail", PoolKind::Spot, 0.030, 9) };
    let firm = pool("firm", PoolKind::Spot, 0.031, 9);
    let price = |pool: &Pool| offer(pool, 0.1, Duration::from_secs(80)).price;
    assert!((price(&frail) - (0.03 + 0.5 * 180.0 / 3_600.0 * 0.1)).abs() < 1e-12);
    assert!(price(&frail) > price(&firm));
    assert!(price(&pool("paid", PoolKind::Reserved, 0.06, 2)).abs() < 1e-12, "it is paid for anyway");
}

#[test]
fn a_budget_warns_before_it_binds_and_binds_as_it_says() {
    let budget = |when_spent| Budget { monthly: 50.0, alarm: 0.8, when_spent };
    let hold = budget(WhenSpent::Hold);
    assert_eq!([warning(&hold, Some(39.0)), warning(&hold, None)], [None, None]);
    let told = |when, spent| warning(&budget(when), Some(spent)).unwrap();
    let before = "84% of this month's 50 USD are spent, and";
    assert_eq!(told(WhenSpent::Hold, 42.0), format!("{before} nothing is added when all are"));
    assert_eq!(
        told(WhenSpent::Min, 42.0),
        format!("{before} only the fewest instances are kept when all are")
    );
    assert!(told(WhenSpent::Min, 55.0).ends_with("are spent, so only the fewest instances are kept"));
    assert!(told(WhenSpent::Alarm, 55.0).ends_with("about which the policy does nothing"));
    let most = |when, spent| ceiling(&budget(when), Some(spent), 7, 2).map(|(most, _)| most);
    assert_eq!(most(WhenSpent::Hold, 49.9), None);
    let spent = [WhenSpent::Hold, WhenSpent::Min, WhenSpent::Alarm].map(|when| most(when, 50.0));
    assert_eq!(spent, [Some(7), Some(2), None]);
    let (_, because) = ceiling(&hold, Some(50.5), 7, 2).unwrap();
    assert_eq!(because, "50.5 of 50 USD are spent this month, so nothing is added");
}
