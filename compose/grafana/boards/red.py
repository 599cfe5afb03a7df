"""Services: rate, errors, duration, and what the processes use."""

from .model import BAD, OF_SERIES, WARNING, Board, limits, quantiles, query

BOARD = Board("red", "Rate, errors and duration of every service, and what its process uses.")
ALL = "sum by (service) (rate(http_requests_total{<S>}[<R>]))"

BOARD.row("Rate, errors, duration")
BOARD.graph("Requests", "Requests answered, by the second.", "reqps",
    [query(ALL, "{{service}}")], to=[("gateway",)], traces=OF_SERIES)
BOARD.graph("Errors", "The share of requests that ended with 5xx.", "percentunit",
    [query(f'(sum by (service) (rate(http_requests_total{{status=~"5..",<S>}}[<R>])) or 0 * {ALL}) / {ALL}', "{{service}}")],
    thresholds=limits((0.001, BAD)), to=[("supervision", "service")], traces=OF_SERIES)
BOARD.graph("Duration", "From the head of a request to the head of its answer. A dot is a trace.", "s",
    quantiles("http_request_seconds", "<S>", by="service", of=(0.5, 0.99)), thresholds=limits((0.2, BAD)), to=[("postgresql", "service")], traces=OF_SERIES)
BOARD.table("Routes", "Requests by route and status, by the second.", "reqps",
    [query("sum by (service, method, route, status) (rate(http_requests_total{<S>}[<R>])) > 0")], to=[("gateway",)])
BOARD.table("Slowest routes", "The twenty routes whose 95th of 100 requests takes longest.", "s",
    [query("topk(20, histogram_quantile(0.95, sum by (service, method, route, le) (rate(http_request_seconds_bucket{<S>}[<R>]))) > 0)")],
    thresholds=limits((0.2, BAD)), traces=OF_SERIES)
BOARD.graph("Connections", "Open connections to each service, streams included.", "none",
    [query("sum by (service) (http_connections{<S>})", "{{service}}")], to=[("websockets", "service")])
BOARD.graph("Panics in handlers of requests", "Requests that ended in a panic; the client got 500, nothing else was touched.", "none",
    [query("sum by (service) (increase(http_handler_panics_total{<S>}[<R>])) or 0 * sum by (service) (http_connections{<S>})", "{{service}}")],
    thresholds=limits((1, BAD)), to=[("supervision", "service")], traces=OF_SERIES)
BOARD.graph("Calls to others", "Attempts of guarded calls that did not succeed, by what is called and how they ended.", "reqps",
    [query('sum by (name, outcome) (rate(resilience_calls_total{outcome!="success",<I>}[<R>]))', "{{name}} {{outcome}}")],
    thresholds=limits((1, WARNING)), to=[("gateway",)])

BOARD.row("Who is there")
BOARD.graph("Instances", "Instances that have registered with coordination, by how they answer when it asks whether they are ready.", "none",
    [query("max by (health) (coordination_instances{<I>})", "{{health}}")], stack=True, to=[("gateway",)])
BOARD.graph("Coming and going", "Instances that came, moved or went: left by themselves, or expired because they no longer reported.", "ops",
    [query("sum by (outcome) (rate(coordination_registrations_total{<I>}[<R>]))", "{{outcome}}")], to=[("supervision",)])
BOARD.graph("Questions to instances", "What came of asking instances whether they are ready, and who waits for news.", "none",
    [query("sum by (outcome) (rate(coordination_probes_total{<I>}[<R>]))", "{{outcome}} a second"),
     query("sum(coordination_waiting_requests{<I>})", "wait for news")])

BOARD.row("Processes. Services that share one, as in viscount up, share these figures")
BOARD.graph("CPU", "Cores in use.", "none",
    [query("rate(process_cpu_seconds_total{<I>}[<R>])", "{{instance}}")])
BOARD.graph("Memory", "Resident memory.", "bytes",
    [query("process_resident_memory_bytes{<I>}", "{{instance}}")], thresholds=limits((500_000_000, WARNING)))
BOARD.graph("Files and threads", "Open file descriptors (a websocket takes up to two), and threads.", "none",
    [query("process_open_fds{<I>}", "{{instance}} files"), query("process_threads{<I>}", "{{instance}} threads")])
BOARD.graph("Disk", "What is left of the disk with the data.", "percentunit",
    [query("disk_free_bytes{<I>} / disk_size_bytes{<I>}", "{{instance}} {{path_kind}}")], thresholds={
        "mode": "absolute", "steps": [{"color": BAD, "value": None}, {"color": WARNING, "value": 0.05}, {"color": "green", "value": 0.2}]},
    to=[("postgresql",)])
BOARD.graph("Age of processes", "Time since each process started.", "s",
    [query("time() - process_start_time_seconds{<I>}", "{{instance}}")], to=[("supervision",)])
BOARD.table("Versions", "Which version of each service runs where.", "none",
    [query("max by (instance, service, version) (build_info{<S>})")], width=8, hidden=("Value",))
BOARD.graph("Metrics themselves", "How long writing all metrics down takes, 99 of 100 times. Whoever asks at the same time shares.", "s",
    [query("histogram_quantile(0.99, sum by (instance, le) (rate(metrics_render_seconds_bucket{<I>}[<R>])))", "{{instance}} p99"),
     query("max by (instance) (scrape_duration_seconds{<I>})", "{{instance}} scrape")], thresholds=limits((1, WARNING)))
