//! Bands files: within what the figures of simulated runs have to stay.

use crate::{
    decode::{List, record},
    leaf::text::Text,
    raw::scenario::{Numbers, Shares},
    units::{HOUR, Percent, Span},
};

record! {
    /// Within what the figures of simulated runs have to stay.
    Bands {
        /// Each for the runs that it names.
        runs: List<RunBands> = required("[{ policy: default, costOverFloor: { atMost: 1.2 } }]"),
    }
}

record! {
    /// Bands for the runs that have all of what is named here. What is not named may be anything.
    RunBands {
        /// The trace, as on the command line or by its file name alone.
        trace: Text = optional,
        /// The policy: `default`, the name of a fleet, `hpa` or `loop`.
        policy: Text = optional,
        /// From launch until an instance serves.
        start_up: Span<0, HOUR> = optional,
        /// How long the gateway holds a request.
        buffer: Span<0, HOUR> = optional,
        /// The target of a baseline.
        target: Percent<100, 10_000> = optional,
        /// How long the loop holds the highest demand.
        hold: Span<0, HOUR> = optional,
        /// As in the report.
        cost_over_floor: Numbers = optional,
        /// As in the report.
        instance_hours: Numbers = optional,
        /// As in the report.
        violated_requests: Shares = optional,
        /// As in the report.
        violated_time: Shares = optional,
        /// As in the report.
        actions_per_day: Numbers = optional,
        /// As in the report.
        reversals_per_day: Numbers = optional,
        /// As in the report, a number.
        theta_u: Numbers = optional,
        /// As in the report, a number.
        theta_o: Numbers = optional,
        /// As in the report, a number.
        tau_u: Numbers = optional,
        /// As in the report, a number.
        tau_o: Numbers = optional,
        /// As in the report, a number.
        upsilon: Numbers = optional,
    }
}
