//! The names of what every service measures, and what each means. [`crate::telemetry::metrics`] records and shows them.
//!
//! Several services may share a process, and then one recorder: what a service measures of itself has the label
//! `service`. Who publishes and reads a topic has the topic's name.

pub use viscount_actors::{
    list_metrics as list,
    metric::{Closed, Kind, Label, Metric, SERVICE},
    metrics::ALL as ACTORS,
};

const TOPIC: Label = Label("topic", "the name of a topic: `orders.events.v1`, …");
const CONSUMER: Label =
    Label("consumer", "who reads; the name of its group. So far a service has one of its own name");
const PARTITION: Label = Label("partition", "the number of a partition; without brokers a topic has one, 0");
const ROUTE: Label = Label("route", "the template of a route, or `unmatched`; never a path");
const METHOD: Label = Label("method", "the HTTP method, or `other`");
const DIRECTION: Label = Label("direction", "`in`: from the client; `out`: to it");
const GUARD: Label = Label(
    "name",
    "what is guarded: `payment_provider`, `coordination`, a service behind the gateway, or a limit",
);
const INSTANCE: Label = Label("instance", "which of several that do the same, from 0");
const REPLICAS: Label =
    Label("service", "the service that asks its database. Each replica tells the same: take the maximum");

list! {
    // Requests.
    HTTP_REQUESTS_TOTAL = counter("http_requests_total", [SERVICE, ROUTE, METHOD, Label("status", "the status code")],
        "Requests answered.");
    HTTP_REQUEST_SECONDS = histogram("http_request_seconds", [SERVICE, ROUTE, METHOD],
        "From the head of a request to the head of its answer. With exemplars.");
    HTTP_HANDLER_PANICS_TOTAL = counter("http_handler_panics_total", [SERVICE], "Handlers that panicked.");
    HTTP_CONNECTIONS = gauge("http_connections", [SERVICE], "Connections open, streams included.");
    AUTH_REFUSED_TOTAL = counter("auth_refused_total",
        [Label("reason", "`missing`, `malformed`, `rejected`, `expired` or `keys_unavailable`")],
        "Callers who were not believed.");
    WEBSOCKET_CONNECTIONS = gauge("websocket_connections", [SERVICE], "Websockets open.");
    WEBSOCKET_FRAMES_TOTAL = counter("websocket_frames_total", [SERVICE, DIRECTION],
        "Messages over websockets, pings, pongs and goodbyes included.");
    WEBSOCKET_BYTES_TOTAL = counter("websocket_bytes_total", [SERVICE, DIRECTION],
        "What was in these messages, without their framing.");

    // Calls to others.
    RESILIENCE_CALLS_TOTAL = counter("resilience_calls_total", [GUARD, INSTANCE, Label("outcome",
        "`success`, `failure`, `deadline`, `panicked`, `cancelled`, `open`, `saturated` or `limited`")],
        "Attempts, by how they ended.");
    RESILIENCE_BREAKER_STATE = gauge("resilience_breaker_state", [GUARD, INSTANCE], "0 closed, 1 half-open, 2 open.");
    RESILIENCE_BULKHEAD_IN_USE = gauge("resilience_bulkhead_in_use", [GUARD, INSTANCE], "Calls under way.");
    RESILIENCE_RETRIES_TOTAL = counter("resilience_retries_total", [GUARD, INSTANCE], "Attempts after the first.");
    RESILIENCE_RETRIES_DENIED_TOTAL = counter("resilience_retries_denied_total", [GUARD, INSTANCE],
        "Retries that were not made because the budget was spent.");
    RESILIENCE_LIMITED_TOTAL = counter("resilience_limited_total", [GUARD, INSTANCE], "Calls that a limiter refused.");
    RESILIENCE_LIMITER_KEYS = gauge("resilience_limiter_keys", [GUARD], "Keys that a limiter remembers.");

    // Coordination, as the others see it.
    COORDINATION_REGISTERED = gauge("coordination_registered", [SERVICE],
        "1 while the instance is on coordination's list, as far as it knows.");
    CONFIG_VERSION = gauge("config_version", [SERVICE],
        "The version of the live settings in force; 0: none were ever set. `all` has those of everyone.");

    // The database.
    COMMITTER_BATCH_SIZE = histogram("committer_batch_size", [SERVICE], "Entries in one commit.");
    COMMITTER_BATCH_SECONDS = histogram("committer_batch_seconds", [SERVICE], "How long one commit took.");
    COMMITTER_CONFLICTS_TOTAL = counter("committer_conflicts_total", [SERVICE],
        "Entries refused because another writer was faster.");
    COMMITTER_RETRIES_TOTAL = counter("committer_retries_total", [SERVICE],
        "Batches tried again because the database was not there.");
    COMMITTER_TOO_LARGE_TOTAL = counter("committer_too_large_total", [SERVICE],
        "Entries refused with an event that is larger than its topic takes.");
    DB_POOL_CONNECTIONS = gauge("db_pool_connections", [SERVICE, Label("state", "`idle` or `in_use`")],
        "Connections of the service's pool, as they are each second.");
    DB_POOL_CONNECTIONS_MAX = gauge("db_pool_connections_max", [SERVICE], "The most that the pool opens.");
    DB_POOL_ACQUIRE_SECONDS = histogram("db_pool_acquire_seconds", [SERVICE],
        "How long a connection of the pool took to get, tried every five seconds.");
    POSTGRES_CONNECTIONS = gauge("postgres_connections", [REPLICAS, Label("state",
        "`active`, `idle`, `idle_in_transaction` or `other`")],
        "Sessions on the service's database, of all replicas.");
    POSTGRES_TRANSACTIONS_TOTAL = counter("postgres_transactions_total",
        [REPLICAS, Label("outcome", "`committed` or `rolled_back`")], "Transactions of the service's database.");
    POSTGRES_BLOCKS_TOTAL = counter("postgres_blocks_total", [REPLICAS, Label("source",
        "`cache`: found in shared buffers; `disk`: asked of the system")], "Blocks read.");
    POSTGRES_DEADLOCKS_TOTAL = counter("postgres_deadlocks_total", [REPLICAS], "Deadlocks that the server ended.");
    POSTGRES_DATABASE_BYTES = gauge("postgres_database_bytes", [REPLICAS], "The size of the service's database.");
    POSTGRES_OLDEST_TRANSACTION_SECONDS = gauge("postgres_oldest_transaction_seconds", [REPLICAS],
        "How long the oldest transaction has been open; 0 without one.");
    POSTGRES_LOCKS_WAITING = gauge("postgres_locks_waiting", [REPLICAS], "Sessions that wait for a lock.");

    // Reading events.
    CONSUMER_LAG_EVENTS = gauge("consumer_lag_events", [SERVICE, CONSUMER, TOPIC, PARTITION],
        "Events of the topic that are not handled yet.");
    CONSUMER_LAG_SECONDS = gauge("consumer_lag_seconds", [SERVICE, CONSUMER, TOPIC, PARTITION],
        "Age of the oldest event that was read and is not handled yet; 0 when all are.");
    CONSUMER_HANDLE_SECONDS = histogram("consumer_handle_seconds", [SERVICE, CONSUMER, TOPIC],
        "How long handling an event took, further tries included.");
    CONSUMER_EVENT_AGE_SECONDS = histogram("consumer_event_age_seconds", [SERVICE, CONSUMER, TOPIC],
        "How old an event is when its consumer takes it: the wait for the commit and for the log together.");
    CONSUMER_READ_POSITION = gauge("consumer_read_position", [SERVICE, CONSUMER, TOPIC],
        "The position of the event that was read last.");
    CONSUMER_IN_HAND = gauge("consumer_in_hand", [SERVICE, CONSUMER, TOPIC],
        "Events read and not handled yet, those that wait for one of their key included.");
    CONSUMER_UNKNOWN_EVENTS_TOTAL = counter("consumer_unknown_events_total", [SERVICE, CONSUMER, TOPIC],
        "Events of kinds that only a newer version knows.");
    CONSUMER_DEAD_LETTERS_TOTAL = counter("consumer_dead_letters_total", [SERVICE, CONSUMER, TOPIC],
        "Events that could not be handled and were put aside.");
    CONSUMER_REDRIVEN_TOTAL = counter("consumer_redriven_total", [SERVICE, CONSUMER, TOPIC,
        Label("outcome", "`handled` or `dead`: it failed again; for messages without an event also `unreadable`")],
        "Dead letters, and what was parked behind them, that were tried again.");
    CONSUMER_PARKED_KEYS = gauge("consumer_parked_keys", [SERVICE, CONSUMER, TOPIC],
        "Keys whose events are parked behind a dead letter. Each replica tells its service's: take the maximum.");
    CONSUMER_DEAD_LETTERS_OPEN = gauge("consumer_dead_letters_open", [SERVICE, CONSUMER, TOPIC],
        "Dead letters that nobody has decided about. Each replica tells its service's: take the maximum.");
    CONSUMER_DEAD_LETTER_OLDEST_SECONDS = gauge("consumer_dead_letter_oldest_seconds", [SERVICE, CONSUMER, TOPIC],
        "Age of the oldest of them; 0 without one.");
    CONSUMER_UNREADABLE_MESSAGES_TOTAL = counter("consumer_unreadable_messages_total", [SERVICE, CONSUMER, TOPIC],
        "Messages without an event in them, on brokers.");
    CONSUMER_UNREADABLE_MESSAGES_NOT_KEPT_TOTAL = counter("consumer_unreadable_messages_not_kept_total",
        [SERVICE, CONSUMER, TOPIC], "Those of them that were more than are kept.");
    CONSUMER_UNREADABLE_MESSAGES_OPEN = gauge("consumer_unreadable_messages_open", [SERVICE, CONSUMER, TOPIC],
        "Those that nobody has decided about. Each replica tells its service's: take the maximum.");

    // Publishing events.
    RELAY_LAG_EVENTS = gauge("relay_lag_events", [REPLICAS],
        "Events that are committed and not yet with the log: on brokers not yet acknowledged, without brokers not yet handed over.");
    RELAY_LAG_SECONDS = gauge("relay_lag_seconds", [REPLICAS], "Age of the oldest of them; 0 without one.");
    RELAY_LEADS = gauge("relay_leads", [TOPIC],
        "On brokers: 1 at the replica that publishes. The sum over the replicas should be 1.");
    RELAY_PUBLISHED_POSITION = gauge("relay_published_position", [TOPIC],
        "On brokers: how far publishing has come. A replica that no longer publishes keeps its last value: take the maximum.");
    RELAY_BLOCKED = gauge("relay_blocked", [TOPIC], "On brokers: 1 while an event is too large for its topic.");
    DEAD_LETTERS_PUBLISHED_TOTAL = counter("dead_letters_published_total", [Label("topic", "`<service>.dlq.v1`")],
        "On brokers: letters published.");
    DEAD_LETTERS_NOT_PUBLISHED_TOTAL = counter("dead_letters_not_published_total", [Label("topic", "`<service>.dlq.v1`")],
        "On brokers: letters that were too large for their topic.");
    LOG_TRANSIT_SECONDS = histogram("log_transit_seconds", [TOPIC, CONSUMER],
        "On brokers: from the publisher's client to the consumer's, by the clocks of both machines.");
    LOG_UNREADABLE_MESSAGES_TOTAL = counter("log_unreadable_messages_total", [TOPIC],
        "On brokers: messages without an event in them, for whoever reads.");
    LOG_OUT_OF_RANGE_TOTAL = counter("log_out_of_range_total", [TOPIC, CONSUMER],
        "On brokers: times that events were gone which had not been read.");
    SCHEMA_REGISTRY_FAILURES_TOTAL = counter("schema_registry_failures_total", [],
        "Times that the schema registry was asked in vain.");

    // The process.
    BUILD_INFO = gauge("build_info", [SERVICE, Label("version", "the version of the program")], "Always 1.");
    DISK_FREE_BYTES = gauge("disk_free_bytes", [Label("path_kind", "`data`: the data folder")],
        "What a service may still write to the file system of this folder.");
    DISK_SIZE_BYTES = gauge("disk_size_bytes", [Label("path_kind", "`data`: the data folder")],
        "The size of that file system.");
    TRACES_EXPORTED_TOTAL = counter("traces_exported_total", [],
        "Spans that the collector took. Only where traces are exported.");
    TRACES_DROPPED_TOTAL = counter("traces_dropped_total", [Label("reason",
        "`queue_full`, `unreachable`, `timeout`, `overloaded`, `refused` or `rejected`")],
        "Spans that are lost: more than the collector takes, or it is away, slow or unwilling.");
    METRICS_RENDER_SECONDS = histogram("metrics_render_seconds", [],
        "How long it took to write all metrics down for whoever asked. Askers share: there are fewer than scrapes.");
    PROCESS_RESIDENT_MEMORY_BYTES = gauge("process_resident_memory_bytes", [], "Resident memory.");
    PROCESS_THREADS = gauge("process_threads", [], "Threads.");
    PROCESS_CPU_SECONDS_TOTAL = counter("process_cpu_seconds_total", [], "CPU time, user and system.");
    PROCESS_OPEN_FDS = gauge("process_open_fds", [], "Open file descriptors.");
    PROCESS_START_TIME_SECONDS = gauge("process_start_time_seconds", [], "When the process began, in Unix time.");
}
