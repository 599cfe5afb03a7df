"""Gateway: the one public door."""

from .model import BAD, WARNING, Board, limits, quantiles, query

BOARD = Board("gateway", "What customers ask for at the one public door, what they get, and how the services behind it are doing.")
CUSTOMERS = 'route=~"/(v1|oauth2)/.*",route!~"/v1/ops/.*",<I>'

BOARD.row("Requests")
BOARD.graph("Requests", "By class of status, by the second.", "reqps",
    [query("sum by (status) (rate(gateway_requests_total{<I>}[<R>]))", "{{status}}")], stack=True, to=[("red",)])
BOARD.graph("Not answered", "The share of customers' requests that ended with 5xx. The objective allows 0.1 %.", "percentunit",
    [query(f'sum(rate(gateway_requests_total{{status="5xx",{CUSTOMERS}}}[<R>])) / sum(rate(gateway_requests_total{{{CUSTOMERS}}}[<R>]))', "5xx")],
    thresholds=limits((0.001, BAD)), to=[("slo",)], traces="gateway")
BOARD.graph("Time", "From the head of a request to the head of its answer. A dot is a trace.", "s",
    quantiles("gateway_request_seconds", "<I>"), thresholds=limits((0.2, BAD)), to=[("red",)], traces="gateway")
BOARD.graph("Time of POST /v1/orders", "How long it takes to accept an order. The objective is 200 ms for 95 of 100.", "s",
    quantiles("gateway_request_seconds", 'route="/v1/orders",method="POST",<I>'), thresholds=limits((0.2, BAD)), to=[("slo",), ("orders",)],
    traces="gateway")
BOARD.table("Busiest routes", "The ten routes that are asked most, by the second.", "reqps",
    [query("topk(10, sum by (method, route) (rate(gateway_requests_total{<I>}[<R>])))")], width=8, to=[("red",)])
BOARD.table("Slowest routes", "The ten routes whose 95th of 100 requests takes longest.", "s",
    [query("topk(10, histogram_quantile(0.95, sum by (method, route, le) (rate(gateway_request_seconds_bucket{<I>}[<R>]))) > 0)")], width=8,
    thresholds=limits((0.2, BAD)), traces="gateway")

BOARD.row("Refused")
BOARD.graph("Refused by the gateway", "Requests that the gateway itself refused, by reason.", "reqps",
    [query("sum by (reason) (rate(gateway_refused_total{<I>}[<R>]))", "{{reason}}")], stack=True)
BOARD.graph("Limited", "Requests beyond a limit, by the limit's name.", "reqps",
    [query("sum by (name) (rate(resilience_limited_total{<I>}[<R>]))", "{{name}}")], to=[("red",)])
BOARD.graph("Not believed", "Callers whose token was refused, by reason.", "reqps",
    [query("sum by (reason) (rate(auth_refused_total{<I>}[<R>]))", "{{reason}}")])

BOARD.row("Services behind it")
BOARD.graph("Breakers", "0 closed, 1 half-open, 2 open: then the service's instance is not asked any more.", "none",
    [query("max by (name, exported_instance) (resilience_breaker_state{<I>})", "{{name}} {{exported_instance}}")],
    thresholds=limits((1, WARNING), (2, BAD)), to=[("red",)])
BOARD.graph("Calls by outcome", "Attempts to reach a service, by how they ended.", "reqps",
    [query('sum by (name, outcome) (rate(resilience_calls_total{<I>}[<R>]) > 0)', "{{name}} {{outcome}}")], to=[("red",)])
BOARD.graph("Calls under way", "What each bulkhead holds.", "none",
    [query("sum by (name) (resilience_bulkhead_in_use{<I>})", "{{name}}")], to=[("red",)])
BOARD.graph("Retries", "Attempts after the first, and those that were not made because the budget was spent.", "reqps",
    [query("sum by (name) (rate(resilience_retries_total{<I>}[<R>]))", "{{name}}"),
     query("sum by (name) (rate(resilience_retries_denied_total{<I>}[<R>]))", "{{name}}: denied")])

BOARD.row("Connections")
BOARD.graph("Connections", "Connections of clients, and those of them that are tunnels: websockets.", "none",
    [query("sum(gateway_connections{<I>})", "connections"), query("sum(gateway_tunnels{<I>})", "tunnels")], to=[("websockets",)])
BOARD.graph("Turned away", "Connections beyond the limit, by the second.", "cps",
    [query("sum(rate(gateway_connections_refused_total{<I>}[<R>]))", "turned away")], thresholds=limits((1, WARNING)))
BOARD.graph("Requests under way", "Requests whose answer has not begun.", "none",
    [query("sum(gateway_requests_in_flight{<I>})", "under way")], thresholds=limits((500, WARNING)))
