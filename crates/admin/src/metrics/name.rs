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
    UpstreamRequests = Counter "tidegate_upstream_requests_total"
        "Requests to an upstream that ended, by the class of its answer's status; none: there was no answer.";
    UpstreamDuration = Histogram "tidegate_upstream_duration_seconds"
        "Time that an upstream took, waiting for an instance and retries included.";
    UpstreamInFlight = Gauge "tidegate_upstream_requests_in_flight" "Requests that an upstream is working on.";
    UpstreamRetries = Counter "tidegate_upstream_retries_total" "Attempts after the first.";
    Queued = Gauge "tidegate_queue_requests" "Requests that wait for an instance.";
    Shed = Counter "tidegate_requests_shed_total" "Requests refused because too many wait or they waited too long.";
    WorkerConnections = Gauge "tidegate_worker_connections" "Client connections that are open.";
    WorkerAccepted = Counter "tidegate_worker_connections_accepted_total" "Client connections that were accepted.";
    WorkerBadRequests = Counter "tidegate_worker_bad_requests_total"
        "Requests refused for their framing or head.";
    WorkerUnrouted = Counter "tidegate_worker_unrouted_requests_total" "Requests that no route matched.";
    WorkerBusy = Counter "tidegate_worker_busy_seconds_total" "Time that a worker was not waiting for events.";
    WorkerGeneration = Gauge "tidegate_worker_config_generation" "Generation of the configuration that a worker serves.";
    LuaVmBytes = Gauge "tidegate_lua_vm_bytes" "Memory in use by a worker's Lua VM.";
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
    FleetDecisions = Counter "tidegate_fleet_decisions_total" "Decisions that changed the number of instances.";
    ConfigGeneration = Gauge "tidegate_config_generation" "Generation of the configuration in use.";
    ConfigReloads = Counter "tidegate_config_reloads_total" "Reloads by result.";
    ConfigLastError = Gauge "tidegate_config_last_error_timestamp_seconds"
        "When a reload was refused last. Absent if none was.";
    JournalLost = Counter "tidegate_journal_lost_entries_total"
        "Decisions that could not be written to the journal's file.";
    ProcessCpu = Counter "process_cpu_seconds_total" "Processor time of this process, without instances.";
    ProcessMemory = Gauge "process_resident_memory_bytes" "Resident memory of this process, without instances.";
}
