"""The first look: is anything wrong, and where to look next."""

from .model import BAD, GOOD, WARNING, Board, at_least, limits, quantiles, query

BOARD = Board("overview", "Whether anything is wrong. Every panel leads to the dashboard that knows more.")

BOARD.stat("Alerts", "Alerts that are firing now. The runbook of each is linked from it.", "none",
    [query('count(ALERTS{alertstate="firing"}) or vector(0)', "firing")], thresholds=limits((1, BAD)), to=[("slo",)])
BOARD.stat("Instances up", "Processes that answer to Prometheus.", "none",
    [query('sum(up{<I>})', "up")], thresholds=at_least((1, GOOD)), to=[("red",)])
BOARD.stat("Orders a minute", "Orders accepted, by the minute.", "opm",
    [query('60 * sum(rate(orders_total{status="created",<I>}[<R>]))', "accepted")], to=[("business",)])
BOARD.stat("Orders stuck", "Orders that wait in a status for longer than they should. Ask one of them: viscount why <order>.", "none",
    [query("sum(max by (status) (orders_stuck{<I>}))", "stuck")], thresholds=limits((1, BAD)), to=[("orders",)])
BOARD.stat("Dead letters", "Events that could not be handled and wait for a decision.", "none",
    [query("sum(max by (consumer, topic) (consumer_dead_letters_open{<I>}))", "open")],
    thresholds=limits((1, WARNING)), to=[("events",)])
BOARD.stat("Restarts", "Restarts of actors within the last five minutes.", "none",
    [query("sum(actor:restarts:increase5m{<I>}) or vector(0)", "in 5 m")],
    thresholds=limits((1, WARNING), (5, BAD)), to=[("supervision",)])

BOARD.graph("Error budgets", "What is left of each objective's budget, over three days. Below zero the objective is missed.", "percentunit",
    [query("1 - slo:error_ratio:rate3d / on (slo) slo:error_budget:ratio", "{{slo}}")],
    thresholds=at_least((0, WARNING), (0.5, GOOD)), negative=True, to=[("slo",)])
BOARD.graph("Orders", "Orders that came to each status, by the second.", "ops",
    [query("sum by (status) (rate(orders_total{<I>}[<R>]))", "{{status}}")], stack=True, to=[("orders",)])
BOARD.graph("From accepted to final", "How long orders take to their end.", "s",
    quantiles("order_final_seconds", "<I>"), thresholds=limits((5, BAD)), to=[("orders",)], traces="orders")
BOARD.graph("Requests", "Requests at the gateway by class of status, by the second.", "reqps",
    [query("sum by (status) (rate(gateway_requests_total{<I>}[<R>]))", "{{status}}")], stack=True, to=[("gateway",)])
BOARD.graph("Time of requests", "How long requests take at the gateway.", "s",
    quantiles("gateway_request_seconds", "<I>"), thresholds=limits((0.2, BAD)), to=[("gateway",)], traces="gateway")
BOARD.graph("Consumer lag", "Age of the oldest event that a consumer has not handled.", "s",
    [query("max by (consumer, topic) (consumer_lag_seconds{<I>})", "{{consumer}} of {{topic}}")],
    thresholds=limits((30, BAD)), to=[("events",)])
BOARD.graph("Restarts by actor", "Restarts within five minutes.", "none",
    [query("sum by (service, actor) (actor:restarts:increase5m{<I>})", "{{actor}} of {{service}}")],
    thresholds=limits((5, BAD)), to=[("supervision", "service")])
BOARD.graph("Commits", "How long 99 of 100 group commits take.", "s",
    [query("histogram_quantile(0.99, sum by (service, le) (rate(committer_batch_seconds_bucket{<I>}[<R>])))", "{{service}} p99")],
    thresholds=limits((0.1, WARNING)), to=[("postgresql", "service")])
BOARD.graph("Memory", "Resident memory of each process.", "bytes",
    [query("process_resident_memory_bytes{<I>}", "{{instance}}")], to=[("red",)])
