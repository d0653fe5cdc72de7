use microlp::{ComparisonOp, Error, OptimizationDirection, Problem, SolveOutcome};
use proptest::prelude::*;

use super::*;

fn offer(price: f64, most: u32, spot: bool) -> Offer {
    Offer { price, capacity: 100, most, spot }
}

fn capacity(offers: &[Offer], counts: &[u32]) -> u64 {
    offers.iter().zip(counts).map(|(offer, &count)| u64::from(offer.capacity) * u64::from(count)).sum()
}

fn cost(offers: &[Offer], counts: &[u32]) -> f64 {
    offers.iter().zip(counts).map(|(offer, &count)| offer.price * f64::from(count)).sum()
}

fn largest_spot(offers: &[Offer], counts: &[u32]) -> u64 {
    let size = |(offer, &count): (&Offer, &u32)| {
        u64::from(offer.spot) * u64::from(offer.capacity) * u64::from(count)
    };
    offers.iter().zip(counts).map(size).max().unwrap_or_default()
}

#[test]
fn one_spot_pool_saves_nothing_because_it_may_vanish() {
    let plan = cheapest(&[offer(0.1, 100, false), offer(0.03, 100, true)], 2_000);
    assert_eq!(plan, Plan { counts: vec![20, 0], survives: true });
}

#[test]
fn three_spot_pools_carry_all_of_it_and_half_as_much_again() {
    let spot = offer(0.03, 100, true);
    let plan = cheapest(&[offer(0.1, 100, false), spot, spot, spot], 2_000);
    assert_eq!(plan, Plan { counts: vec![0, 10, 10, 10], survives: true });
}

#[test]
fn what_is_committed_comes_first_and_spot_is_used_as_far_as_there_is_any() {
    let offers = [offer(0.1, 100, false), offer(0.0, 4, false), offer(0.03, 5, true), offer(0.04, 100, true)];
    let plan = cheapest(&offers, 2_000);
    assert_eq!(plan.counts[1], 4);
    assert!(plan.survives && plan.counts[0] > 0, "{plan:?}");
    assert!(capacity(&offers, &plan.counts) - largest_spot(&offers, &plan.counts) >= 2_000, "{plan:?}");
}

#[test]
fn where_offers_do_not_suffice_that_is_said() {
    let spot = offer(0.03, 100, true);
    let plan = cheapest(&[offer(0.1, 5, false), spot, Offer { most: 3, ..spot }], 2_000);
    assert!(!plan.survives);
    assert_eq!((plan.counts[0], plan.counts[2]), (5, 3), "{plan:?}");
    assert!(plan.counts.iter().sum::<u32>() >= 20, "{plan:?}");
    assert_eq!(cheapest(&[], 100), Plan { counts: vec![], survives: false });
    assert_eq!(cheapest(&[spot], 0), Plan { counts: vec![0], survives: true });
}

/// The same as a mixed-integer programme.
fn solved(offers: &[Offer], wanted: u64) -> Option<f64> {
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let largest = problem.add_var(0.0, (0.0, f64::INFINITY));
    let mut all = vec![(largest, -1.0)];
    for offer in offers {
        let count = problem.add_integer_var(offer.price, (0, offer.most.cast_signed()));
        let capacity = f64::from(offer.capacity);
        all.push((count, capacity));
        if offer.spot {
            problem.add_constraint([(count, capacity), (largest, -1.0)], ComparisonOp::Le, 0.0);
        }
    }
    problem.add_constraint(&all, ComparisonOp::Ge, wanted as f64);
    match problem.solve() {
        Ok(SolveOutcome::Solution(solution)) => Some(solution.objective()),
        Err(Error::Infeasible) => None,
        other => panic!("{other:?} for {offers:?} and {wanted}"),
    }
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let offer =
        (0..40_u32, prop_oneof![Just(50_u32), Just(100), Just(125), Just(200)], 0..12_u32, any::<bool>());
    let offer = offer.prop_map(|(price, capacity, most, spot)| Offer {
        price: f64::from(price) / 100.0,
        capacity,
        most,
        spot,
    });
    prop::collection::vec(offer, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nothing that a solver finds is cheaper, and what it finds is found.
    #[test]
    fn a_mix_is_as_cheap_as_a_solver_makes_it(offers in offers(), wanted in 0..2_500_u64) {
        let plan = cheapest(&offers, wanted);
        let within = plan.counts.iter().zip(&offers).all(|(&count, offer)| count <= offer.most);
        prop_assert!(within, "{plan:?}");
        let solved = solved(&offers, wanted);
        prop_assert_eq!(plan.survives, solved.is_some(), "{:?} and {:?}", plan, solved);
        if let Some(solved) = solved {
            let cost = cost(&offers, &plan.counts);
            prop_assert!(cost <= solved + 1e-6, "{cost} for {plan:?}, a solver pays {solved}");
            let safe = capacity(&offers, &plan.counts) - largest_spot(&offers, &plan.counts);
            prop_assert!(safe >= wanted, "{safe} of {wanted} in {plan:?}");
        }
    }
}

#[test]
fn a_large_market_is_searched_within_bounds() {
    let offers: Vec<_> = (0..8)
        .map(|at| Offer {
            price: 0.03 + f64::from(at) * 0.001,
            capacity: 90 + 7 * at,
            most: 1_000,
            spot: at > 1,
        })
        .collect();
    let plan = cheapest(&offers, 80_000);
    assert!(plan.survives);
    let safe = capacity(&offers, &plan.counts) - largest_spot(&offers, &plan.counts);
    assert!((80_000..82_000).contains(&safe), "{safe}");
}
