//! The names of all metrics, with what they mean.

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($metric:ident = $kind:ident $name:literal $help:literal;)*) => {
        /// A metric that Tidegate exports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Metric {
            $(#[doc = $help] $metric,)*
        }

        impl Metric {
            pub const ALL: &[Self] = &[$(Self::$metric,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => $name,)*
                }
            }

            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$metric => Kind::$kind,)*
                }
            }

            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$metric => $help,)*
                }
            }
        }
    };
}

metrics! {
    BuildInfo = Gauge "tidegate_build_info" "1, with the version as a label.";
    Requests = Counter "tidegate_requests_total"
        "Requests that ended, by the class of the answer's status; none: there was no answer.";
    RequestDuration = Histogram "tidegate_request_duration_seconds"
        "Time from a request's head until its answer was complete.";
    RequestsInFlight = Gauge "tidegate_requests_in_flight" "Requests that are being worked on.";
    RequestBodyBytes = Counter "tidegate_request_body_bytes_total" "Bytes of bodies that came from clients.";
    ResponseBodyBytes = Counter "tidegate_response_body_bytes_total" "Bytes of bodies that went to clients.";
    LuaErrors = Counter "tidegate_lua_errors_total" "Requests in which Lua failed.";
    LuaCpu = Counter "tidegate_lua_cpu_seconds_total" "Time that a script ran for on its worker's thread, for a route or (route is empty) for none.";
    LuaAllocatedBytes = Counter "tidegate_lua_allocated_bytes_total" "Memory that a script asked for.";
    LuaYields = Counter "tidegate_lua_yields_total" "Waits of a script.";
    LuaWait = Counter "tidegate_lua_wait_seconds_total" "Time that a script waited for.";
    UpstreamRequests = Counter "tidegate_upstream_requests_total"
        "Requests to an upstream that ended, by the class of its answer's status; none: there was no answer.";
    UpstreamDuration = Histogram "tidegate_upstream_duration_seconds"
        "Time that an upstream took, waiting for an instance and retries included.";
    UpstreamInFlight = Gauge "tidegate_upstream_requests_in_flight" "Requests that an upstream is working on.";
    UpstreamRetries = Counter "tidegate_upstream_retries_total" "Attempts after the first.";
    Queued = Gauge "tidegate_queue_requests" "Requests that wait for an instance.";
    Shed = Counter "tidegate_requests_shed_total" "Requests refused because too many wait or they waited too long.";
    RouteShed = Counter "tidegate_route_requests_shed_total"
        "Requests of a route that were refused because too many wait, more important ones among them, or they waited too long.";
    WorkerConnections = Gauge "tidegate_worker_connections" "Client connections that are open.";
    WorkerAccepted = Counter "tidegate_worker_connections_accepted_total" "Client connections that were accepted, or taken over from another worker.";
    WorkerTlsConnections = Gauge "tidegate_worker_tls_connections" "Client connections over which TLS is spoken.";
    WorkerTlsHandshakes = Counter "tidegate_worker_tls_handshakes_total" "TLS handshakes with clients that ended, well or not.";
    WorkerTlsFailed = Counter "tidegate_worker_tls_failed_handshakes_total"
        "TLS handshakes that failed: the client left, took too long, or could not be agreed with.";
    WorkerTlsResumed = Counter "tidegate_worker_tls_resumed_handshakes_total"
        "TLS handshakes that were short because the client had been here before.";
    WorkerBadRequests = Counter "tidegate_worker_bad_requests_total"
        "Requests refused for their framing or head.";
    WorkerUnrouted = Counter "tidegate_worker_unrouted_requests_total" "Requests that no route matched.";
    WorkerBusy = Counter "tidegate_worker_busy_seconds_total" "Time that a worker was not waiting for events.";
    WorkerGeneration = Gauge "tidegate_worker_config_generation" "Generation of the configuration that a worker serves.";
    LuaVmBytes = Gauge "tidegate_lua_vm_bytes" "Memory in use by a worker's Lua VM.";
    LuaTimersPending = Gauge "tidegate_lua_pending_timers" "Timers of a worker's Lua that wait.";
    LuaTimersRunning = Gauge "tidegate_lua_running_timers" "Timers of a worker's Lua whose functions run.";
    LuaTimersDropped = Counter "tidegate_lua_dropped_timers_total"
        "Timers whose functions did not run because `maxRunningTimers` did.";
    LuaTimersLate = Histogram "tidegate_lua_timer_lateness_seconds"
        "How long after its time the function of a timer was started.";
    LuaGcCycles = Counter "tidegate_lua_gc_cycles_total" "Collections of the garbage of a worker's Lua that have come to their end.";
    LuaGcPauses = Histogram "tidegate_lua_gc_pause_seconds"
        "How long each part of a collection held up a worker. A run that allocates much collects in part as it goes on, which is its own time and not in here.";
    LuaCoroutines = Gauge "tidegate_lua_coroutines_in_flight"
        "Runs of a worker's Lua that wait, and their light threads.";
    LuaDictCapacity = Gauge "tidegate_lua_dict_capacity_bytes" "Memory that a shared dictionary may take.";
    LuaDictFree = Gauge "tidegate_lua_dict_free_bytes" "Memory of a shared dictionary in pages that hold nothing.";
    LuaDictItems = Gauge "tidegate_lua_dict_items"
        "Items in a shared dictionary, with those that have expired and were not dropped yet.";
    LuaDictEvictions = Counter "tidegate_lua_dict_evictions_total"
        "Items that a shared dictionary dropped before their time because others needed their memory.";
    AccessLogDropped = Counter "tidegate_access_log_dropped_lines_total"
        "Access log lines that found no room.";
    FleetInstances = Gauge "tidegate_fleet_instances" "Instances by state.";
    FleetDesired = Gauge "tidegate_fleet_desired_instances" "Instances that there should be.";
    FleetMin = Gauge "tidegate_fleet_min_instances" "Fewest instances that the policy allows.";
    FleetMax = Gauge "tidegate_fleet_max_instances" "Most instances that the policy allows.";
    FleetUtilization = Gauge "tidegate_fleet_utilization_ratio"
        "Share of time that ready instances were busy. Absent while unknown.";
    FleetArrivals = Gauge "tidegate_fleet_arrivals_per_second" "Requests that arrive. Absent while unknown.";
    FleetConcurrency = Gauge "tidegate_fleet_concurrency_requests"
        "Requests in flight or waiting, mean over a second. Absent while unknown.";
    FleetCpu = Gauge "tidegate_fleet_cpu_cores" "Cores in use by the instances. Absent while unknown.";
    FleetMemory = Gauge "tidegate_fleet_memory_bytes" "Resident memory of the instances. Absent while unknown.";
    FleetLuaBytes = Gauge "tidegate_fleet_lua_vm_bytes"
        "Memory in use by the Lua VMs of the instances. Absent while unknown.";
    FleetStartUp = Gauge "tidegate_fleet_start_up_seconds"
        "Time that instances take to start, as the scaler reckons. Absent while unknown.";
    FleetInstanceSeconds = Counter "tidegate_fleet_instance_seconds_total"
        "Time that instances ran, all together, from launch until gone.";
    FleetRestarts = Counter "tidegate_fleet_restarts_total" "Instances started in place of one that failed.";
    SourceMessages = Gauge "tidegate_source_messages" "What waits in an event source; absent while it is not known.";
    SourceUp = Gauge "tidegate_source_up" "1 where the last reading of an event source was answered, 0 where not.";
    SourceAge = Gauge "tidegate_source_age_seconds" "How old the last reading of an event source is.";
    SourcePolls = Counter "tidegate_source_polls_total" "Readings of an event source that were tried.";
    SourceFailures = Counter "tidegate_source_failures_total" "Readings of an event source that failed.";
    FleetMessages = Counter "tidegate_fleet_messages_total"
        "Messages that a fleet worked on, by what became of them; lost: settled, but the source could not be told.";
    FleetDecisions = Counter "tidegate_fleet_decisions_total" "Decisions that changed the number of instances.";
    FleetRecommended = Gauge "tidegate_fleet_recommended_instances"
        "Instances that the policy decided on last; with mode recommend it is not done.";
    FleetActs = Gauge "tidegate_fleet_acts" "1 where what is decided is done, 0 where it is recommended only.";
    FleetCandidate = Gauge "tidegate_fleet_candidate_instances"
        "Instances that the candidate policy decided on last. Absent without one.";
    FleetCapacity = Gauge "tidegate_fleet_capacity_requests_per_second"
        "What one instance is known to serve while answers stay quick. Absent while unknown.";
    FleetSafeUtilization = Gauge "tidegate_fleet_safe_utilization_ratio"
        "Share of time that an instance may be busy while answers stay quick.";
    FleetForecastTrust = Gauge "tidegate_fleet_forecast_trust"
        "1 where forecasts have earned trust, else 0. Absent without a forecast that has seen something.";
    FleetCost = Counter "tidegate_fleet_cost_usd_total" "US dollars that instances have cost. Absent without a price.";
    FleetOnDemandCost = Counter "tidegate_fleet_on_demand_cost_usd_total"
        "US dollars that the instances that were wanted would have cost on demand. Absent without prices.";
    FleetPool = Gauge "tidegate_fleet_pool_instances" "Instances of a pool by state; desired: those that there should be.";
    FleetPoolPrice = Gauge "tidegate_fleet_pool_price_usd_per_hour" "US dollars for an hour of an instance of a pool.";
    FleetBudget = Gauge "tidegate_fleet_budget_usd" "US dollars that a month may cost. Absent without a budget.";
    FleetBudgetSpent = Gauge "tidegate_fleet_budget_spent_usd"
        "US dollars that this month of the calendar has cost. Absent without a budget.";
    FleetBudgetAlarm = Gauge "tidegate_fleet_budget_alarm"
        "1 where so much of the budget is spent that there is an alarm, else 0. Absent without a budget.";
    FleetHpaSeconds = Counter "tidegate_fleet_hpa_instance_seconds_total"
        "Time that instances would have run by HPA's rule at 70 %.";
    FleetCandidateSeconds = Counter "tidegate_fleet_candidate_instance_seconds_total"
        "Time that instances would have run by the candidate. Absent without one.";
    ControlRounds = Counter "tidegate_control_rounds_total" "Rounds of decisions, one a second.";
    ControlLate = Counter "tidegate_control_late_rounds_total"
        "Rounds that began more than a quarter of a second after their time.";
    ControlLag = Gauge "tidegate_control_lag_seconds" "How long after its time the last round began.";
    ControlRound = Gauge "tidegate_control_round_seconds" "How long the last round took, all fleets together.";
    ConfigGeneration = Gauge "tidegate_config_generation" "Generation of the configuration in use.";
    ConfigReloads = Counter "tidegate_config_reloads_total" "Reloads by result.";
    ConfigLastError = Gauge "tidegate_config_last_error_timestamp_seconds"
        "When a reload was refused last. Absent if none was.";
    JournalLost = Counter "tidegate_journal_lost_entries_total"
        "Decisions that could not be written to the journal's file.";
    ProcessCpu = Counter "process_cpu_seconds_total" "Processor time of this process, without instances.";
    ProcessMemory = Gauge "process_resident_memory_bytes" "Resident memory of this process, without instances.";
}
