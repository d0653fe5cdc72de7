//! Scenario files: a made-up world, and what is expected of a policy there.

use crate::{
    decode::{List, record},
    leaf::text::Text,
    raw::fleet::Scale,
    units::{Amount, Count, DAY, HOUR, Number, Percent, Rate, SECOND, Span},
};

type Moment = Span<0, { 31 * DAY }>;
type Stretch = Span<SECOND, { 31 * DAY }>;

record! {
    /// A made-up world, and what is expected of a policy there.
    Scenario {
        /// What it shows, for people.
        about: Text = required("\"What it shows.\""),
        /// The policy, as in a fleet's `scale`. Without it, the default policy with at most 1,000 instances.
        scale: Scale = optional,
        /// Requests that arrive: one leg after the other.
        demand: List<Leg> = required("[{ for: 10m, rate: 2000/1s }]"),
        /// From launch until an instance serves.
        start_up: Span<0, HOUR> = default("30s"),
        /// How long the gateway holds a request that finds no capacity.
        buffer: Span<0, HOUR> = default("0s"),
        /// Decides the arrivals, and which starts fail.
        seed: Count<0, { u32::MAX as u64 }> = default("1"),
        /// What one instance serves at first.
        capacity: Rate = default("100/1s"),
        /// What happens meanwhile.
        events: List<Event> = default("[]"),
        /// What has to hold.
        expect: List<Expectation> = required("[{ violatedRequests: { atMost: 1% } }]"),
    }
}

record! {
    /// Demand that stays, or changes evenly.
    Leg {
        /// How long it lasts.
        r#for: Stretch = required("10m"),
        /// Requests that arrive, at its end where it has a `from`.
        rate: Rate = required("2000/1s"),
        /// Requests that arrive at its beginning. Without it, as many as at its end.
        from: Rate = optional,
    }
}

record! {
    /// Something that happens: `at` a time, one of the others.
    Event {
        /// When, from the beginning of the scenario.
        at: Moment = required("10m"),
        /// How long it lasts, for `startUp`, `failStarts` and `loseMetrics`. Without it, until the end.
        r#for: Stretch = optional,
        /// Every instance serves so many requests from now on, and nobody is told.
        capacity: Rate = optional,
        /// The instances are replaced by others, which serve so many requests.
        deploy: Rate = optional,
        /// Instances launched from now on take so long to start.
        start_up: Span<0, HOUR> = optional,
        /// This share of the instances launched from now on never becomes ready.
        fail_starts: Percent<0, 10_000> = optional,
        /// No metric can be read.
        lose_metrics: bool = optional,
        /// So many ready instances die.
        kill: Amount = optional,
        /// A spot pool of the policy takes all of its instances back, or `all` do.
        reclaim: Text = optional,
        /// How long before that it is said, for `reclaim`. Without it, not before.
        notice: Span<0, HOUR> = optional,
        /// The wall clock jumps ahead by this much.
        clock_forward: Span<SECOND, { 31 * DAY }> = optional,
        /// The wall clock jumps back by this much.
        clock_back: Span<SECOND, { 31 * DAY }> = optional,
    }
}

record! {
    /// What has to hold, in all of the scenario or in a stretch of it.
    Expectation {
        /// Where the stretch begins.
        from: Moment = default("0s"),
        /// How long it is. Without it, until the end.
        r#for: Stretch = optional,
        /// Share of requests that found no capacity.
        violated_requests: Shares = optional,
        /// Share of seconds in which a request found none.
        violated_time: Shares = optional,
        /// What was paid for, divided by what a fleet that knows the future pays.
        cost_over_floor: Numbers = optional,
        /// How many instances are wanted, in every second.
        instances: Numbers = optional,
        /// Changes of that number.
        actions: Numbers = optional,
        /// Changes to a smaller number.
        shrinks: Numbers = optional,
        /// Requests per second that an instance is believed to serve, at the end of the stretch.
        learned_rate: Numbers = optional,
        /// Seconds in which the number is not what it is in the same world without the events.
        differs: Numbers = optional,
        /// By how much what was paid is below the price on demand, as a share of that.
        saving: Shares = optional,
    }
}

record! {
    /// Shares that are good; both ends belong to them.
    Shares {
        /// Not less than this.
        at_least: Percent<0, 10_000> = optional,
        /// Not more than this.
        at_most: Percent<0, 10_000> = optional,
    }
}

record! {
    /// Numbers that are good; both ends belong to them.
    Numbers {
        /// Not less than this.
        at_least: Number = optional,
        /// Not more than this.
        at_most: Number = optional,
    }
}
