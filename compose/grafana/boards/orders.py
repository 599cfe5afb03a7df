"""Order flow: where orders are, and how long they take."""

from .model import BAD, WARNING, Board, limits, quantiles, query

BOARD = Board("orders", "Where orders are on their way from created to completed, and what holds them.")

BOARD.row("Where they are")
BOARD.graph("Orders that wait", "Orders in each status that waits for something: created for stock, validated for payment, paid for fulfilment.", "none",
    [query("max by (status) (orders_open{<I>})", "{{status}}")], stack=True, to=[("business",)])
BOARD.graph("Orders stuck", "Orders that wait for longer than they should. Ask one of them: viscount why <order>.", "none",
    [query("max by (status) (orders_stuck{<I>})", "{{status}}")], thresholds=limits((1, BAD)), to=[("events",), ("supervision",)])
BOARD.graph("Orders by status", "Orders that came to each status, by the second.", "ops",
    [query("sum by (status) (rate(orders_total{<I>}[<R>]))", "{{status}}")], stack=True, to=[("business",)])

BOARD.row("How long they take")
BOARD.heatmap("From created to completed", "Completed orders by how long they took. The objective is 5 s.", "s",
    [query('sum by (le) (increase(order_final_seconds_bucket{status="completed",<I>}[<R>]))', "{{le}}", exemplar=True)],
    to=[("slo",)], traces="orders")
BOARD.graph("From accepted to final", "How long orders take to their end, whatever it is. A dot is a trace.", "s",
    quantiles("order_final_seconds", "<I>"), width=12, thresholds=limits((5, BAD)), to=[("slo",)], traces="orders")
BOARD.graph("Ends", "Orders that came to an end, by what it was.", "ops",
    [query("sum by (status) (rate(order_final_seconds_count{<I>}[<R>]))", "{{status}}")], stack=True, to=[("business",)])
BOARD.graph("Time by end", "How long half of the orders take, by what became of them.", "s",
    [query("histogram_quantile(0.5, sum by (status, le) (rate(order_final_seconds_bucket{<I>}[<R>])))", "{{status}} p50", exemplar=True)],
    thresholds=limits((5, BAD)), traces="orders")
BOARD.graph("Age of events when they are taken", "The steps of an order travel as events: how old 95 of 100 are when their consumer takes them.", "s",
    [query("histogram_quantile(0.95, sum by (consumer, topic, le) (rate(consumer_event_age_seconds_bucket{<I>}[<R>])))", "{{consumer}} of {{topic}}")],
    thresholds=limits((1, WARNING), (5, BAD)), to=[("events",)])

BOARD.row("Stock and payment")
BOARD.graph("Reservations", "What became of reservations of stock, by the second.", "ops",
    [query("sum by (outcome) (rate(inventory_reservations_total{<I>}[<R>]))", "{{outcome}}"),
     query("sum by (how) (rate(inventory_reservations_ended_total{<I>}[<R>]))", "ended: {{how}}")], to=[("business",)])
BOARD.graph("Payments", "What became of payments and refunds, by the second.", "ops",
    [query("sum by (kind) (rate(payments_outcomes_total{<I>}[<R>]))", "{{kind}}")], to=[("business",)])
BOARD.graph("Questions to the provider", "Calls whose outcome is not known yet. They are asked again; nothing is charged twice.", "none",
    [query("max(payments_open_calls{<I>})", "open")], thresholds=limits((10, WARNING), (100, BAD)), to=[("gateway",)])
BOARD.graph("The oldest of them", "For how long the oldest question to the provider has been open.", "s",
    [query("max(payments_oldest_open_call_seconds{<I>})", "oldest")], thresholds=limits((30, WARNING), (120, BAD)))
BOARD.graph("Webhooks", "News from the provider, by what was done with it.", "ops",
    [query("sum by (outcome) (rate(payments_webhooks_total{<I>}[<R>]))", "{{outcome}}")])
BOARD.graph("Orders watched", "Orders that somebody is watching over a websocket or server-sent events.", "none",
    [query("sum(order_stream_watchers{<I>})", "watchers")], to=[("websockets",)])
