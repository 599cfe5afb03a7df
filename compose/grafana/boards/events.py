"""Event log: who is behind, what was put aside, what is not published."""

from .model import BAD, OF_SERIES, WARNING, Board, limits, query

BOARD = Board("events", "Who is behind on which topic, what could not be handled, and what is not published yet.")
WHO = "{{consumer}} of {{topic}}"

BOARD.row("Reading")
BOARD.graph("Lag in time", "Age of the oldest event that a consumer has read and not handled.", "s",
    [query("max by (service, consumer, topic, partition) (consumer_lag_seconds{<S>})", f"{WHO} [{{{{partition}}}}]")],
    thresholds=limits((5, WARNING), (30, BAD)), to=[("orders",), ("red", "service")], traces=OF_SERIES)
BOARD.graph("Lag in events", "Events of a topic that a consumer has not handled. It should return to zero.", "none",
    [query("sum by (service, consumer, topic) (consumer_lag_events{<S>})", WHO)], thresholds=limits((1000, WARNING)),
    to=[("supervision", "service")])
BOARD.graph("In hand", "Events read and not handled yet, those included that wait for one of their key.", "none",
    [query("sum by (service, consumer, topic) (consumer_in_hand{<S>})", WHO)])
BOARD.graph("Handled", "Events handled, by the second.", "ops",
    [query("sum by (service, consumer, topic) (rate(consumer_handle_seconds_count{<S>}[<R>]))", WHO)])
BOARD.graph("Time of handling", "How long an event takes, further tries included, 99 of 100 times.", "s",
    [query("histogram_quantile(0.99, sum by (service, consumer, topic, le) (rate(consumer_handle_seconds_bucket{<S>}[<R>])))", WHO)],
    thresholds=limits((1, WARNING)), traces=OF_SERIES)
BOARD.graph("Age when taken", "How old an event is when its consumer takes it: the wait for the commit and for the log.", "s",
    [query("histogram_quantile(0.99, sum by (service, consumer, topic, le) (rate(consumer_event_age_seconds_bucket{<S>}[<R>])))", WHO)],
    thresholds=limits((1, WARNING), (5, BAD)), to=[("postgresql", "service")], traces=OF_SERIES)
BOARD.graph("Position", "How far each consumer has read.", "none",
    [query("max by (service, consumer, topic) (consumer_read_position{<S>})", WHO)])
BOARD.graph("Unknown kinds", "Events of kinds that only a newer version knows; they are passed over.", "none",
    [query("sum by (service, consumer, topic) (increase(consumer_unknown_events_total{<S>}[5m]))", WHO)], thresholds=limits((1, WARNING)))

BOARD.row("Put aside")
BOARD.graph("Dead letters", "Events that could not be handled and that nobody has decided about.", "none",
    [query("max by (service, consumer, topic) (consumer_dead_letters_open{<S>})", WHO)], thresholds=limits((1, BAD)),
    to=[("supervision", "service"), ("orders",)], traces=OF_SERIES)
BOARD.graph("Parked keys", "Keys whose events wait behind a dead letter.", "none",
    [query("max by (service, consumer, topic) (consumer_parked_keys{<S>})", WHO)], thresholds=limits((1, WARNING)), to=[("orders",)])
BOARD.graph("The oldest dead letter", "For how long the oldest one has been waiting.", "s",
    [query("max by (service, consumer, topic) (consumer_dead_letter_oldest_seconds{<S>})", WHO)], thresholds=limits((3600, WARNING)))
BOARD.graph("New dead letters", "Events put aside, by the second.", "ops",
    [query("sum by (service, consumer, topic) (rate(consumer_dead_letters_total{<S>}[<R>]))", WHO)], thresholds=limits((0.01, WARNING)))
BOARD.graph("Handed back", "Dead letters, and what was parked behind them, that were tried again, by what came of it.", "ops",
    [query("sum by (service, consumer, topic, outcome) (rate(consumer_redriven_total{<S>}[<R>]))", WHO + ": {{outcome}}")])
BOARD.graph("Unreadable messages", "Messages without an event in them that nobody has decided about. Only on brokers there are any.", "none",
    [query("max by (service, consumer, topic) (consumer_unreadable_messages_open{<S>})", WHO)], thresholds=limits((1, WARNING)))

BOARD.row("Publishing")
BOARD.graph("Relay lag in time", "Age of the oldest event that is committed and not yet with the log.", "s",
    [query("max by (service) (relay_lag_seconds{<S>})", "{{service}}")], thresholds=limits((5, WARNING), (30, BAD)), to=[("postgresql", "service")])
BOARD.graph("Relay lag in events", "Events that are committed and not yet with the log.", "none",
    [query("max by (service) (relay_lag_events{<S>})", "{{service}}")], thresholds=limits((1000, WARNING)))

BOARD.row("On brokers only")
BOARD.graph("Who publishes", "How many replicas publish a topic. It should be one.", "none",
    [query("sum by (topic) (relay_leads{<I>})", "{{topic}}")], thresholds=limits((2, BAD)))
BOARD.graph("Blocked", "1 while an event is too large for its topic; nothing behind it is published.", "none",
    [query("max by (topic) (relay_blocked{<I>})", "{{topic}}")], thresholds=limits((1, BAD)))
BOARD.graph("Published", "How far publishing has come.", "none",
    [query("max by (topic) (relay_published_position{<I>})", "{{topic}}")])
BOARD.graph("Transit", "From the publisher's client to the consumer's, 99 of 100 times, by the clocks of both machines.", "s",
    [query("histogram_quantile(0.99, sum by (consumer, topic, le) (rate(log_transit_seconds_bucket{<I>}[<R>])))", WHO)],
    thresholds=limits((0.5, WARNING)))
BOARD.graph("Trouble", "Events that were gone before they were read, foreign messages, and questions to the schema registry that failed.", "none",
    [query("sum by (topic) (increase(log_out_of_range_total{<I>}[5m]))", "gone: {{topic}}"),
     query("sum by (topic) (increase(log_unreadable_messages_total{<I>}[5m]))", "unreadable: {{topic}}"),
     query("sum(increase(schema_registry_failures_total{<I>}[5m]))", "schema registry")], thresholds=limits((1, BAD)))
