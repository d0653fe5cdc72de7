//! `pools` and `budget`: where instances come from, and what all of them may cost.

use tidegate_core::policy::{PoolKind, WhenSpent};

use crate::{
    decode::record,
    units::{HOUR, Instances, Number, Percent, Span},
};

record! {
    /// A source of instances, with its terms.
    Pool {
        /// `onDemand`: instances are there whenever they are wanted; `spot`: until they are taken back; `reserved`:
        /// all of `max` are paid for, whether they run or not.
        kind: PoolKind = required("spot"),
        /// What an instance costs in an hour, in US dollars.
        price: Number = required("0.03"),
        /// What an instance serves, as a share of a usual one.
        capacity: Percent<100, 100_000> = default("100%"),
        /// How long an instance takes to start. Without it, as long as was learned.
        start_up: Span<0, HOUR> = optional,
        /// The share of instances that is taken back within an hour.
        interruption: Percent<0, 10_000> = default("0%"),
        /// Most instances. Without it 1,000; a `reserved` pool needs it.
        max: Instances = optional,
    }
}

record! {
    /// What a fleet may cost in a calendar month, in UTC.
    FleetBudget {
        /// US dollars.
        monthly: Number = required("500"),
        /// The share of it from which on there is an alarm.
        alarm: Percent<1, 10_000> = default("80%"),
        /// What happens when it is spent. `hold`: the fleet grows no more until the month is over; `min`: it has its
        /// fewest instances until then; `alarm`: nothing but the alarm.
        when_spent: WhenSpent = default("hold"),
    }
}
