"""Supervision: who falls, why, how often, how fast it is back."""

from .model import BAD, OF_SERIES, WARNING, Board, limits, query

BOARD = Board("supervision", "Who falls and why, what is left of the budgets, how fast actors are back, and who was put aside.")

BOARD.row("Falls")
BOARD.bars("Restarts by cause", "Restarts within the last five minutes, by why the actor ended.", "none",
    [query("sum by (service, actor, reason) (actor:restarts:increase5m{<S>})", "{{actor}} of {{service}}: {{reason}}")],
    thresholds=limits((1, WARNING), (5, BAD)), traces=OF_SERIES)
BOARD.graph("Restarts over time", "Restarts within five minutes. viscount actors exits shows the latest with their backtraces.", "none",
    [query("sum by (service, actor, reason) (actor:restarts:increase5m{<S>})", "{{actor}} of {{service}}: {{reason}}")],
    thresholds=limits((5, BAD)), to=[("orders",), ("red", "service")], traces=OF_SERIES)
BOARD.graph("Restart budgets", "Restarts that a supervisor may still have in its window; at none it gives up and hands its failure upwards.", "none",
    [query("min by (service, actor) (actor_restart_budget_remaining{<S>})", "{{actor}} of {{service}}")],
    thresholds={"mode": "absolute", "steps": [{"color": BAD, "value": None}, {"color": WARNING, "value": 2}, {"color": "green", "value": 4}]},
    to=[("red", "service")])
BOARD.graph("Time to recover", "From the fall of an actor to the next incarnation being up. The objective is 1 s for 99 of 100.", "s",
    [query("histogram_quantile(0.99, sum by (service, actor, le) (rate(actor_recovery_seconds_bucket{<S>}[<R>])))", "{{actor}} of {{service}} p99")],
    thresholds=limits((1, BAD)), to=[("orders",)])
BOARD.graph("Pause before a restart", "What was waited before the latest restart. It grows while somebody falls again and again.", "s",
    [query("max by (service, actor) (actor_restart_backoff_seconds{<S>}) > 0", "{{actor}} of {{service}}")],
    thresholds=limits((1, WARNING), (5, BAD)))
BOARD.graph("Escalations", "Supervisors that gave up, and entities that were put aside, within 15 minutes.", "none",
    [query("sum by (service, actor) (actor:escalations:increase15m{<S>})", "{{actor}} of {{service}}")],
    thresholds=limits((1, BAD)), to=[("red", "service")])

BOARD.row("Put aside, stuck, down")
BOARD.graph("In quarantine", "Entities that fell too often. They alone are stopped; viscount actors release lets one go on.", "none",
    [query("sum by (service, kind) (actor_quarantined{<S>})", "{{kind}} of {{service}}")], thresholds=limits((1, WARNING)),
    to=[("events", "service"), ("orders",)])
BOARD.graph("Down", "Actors that are not running at this moment.", "none",
    [query("sum by (service) (1 - actor_up{<S>})", "{{service}}")], thresholds=limits((1, WARNING)), to=[("red", "service")])
BOARD.graph("Without progress", "Times that the watchdog found an actor without progress: blocked keeps its thread, waiting waits.", "none",
    [query("sum by (service, reason) (increase(actor_stuck_total{<S>}[5m]))", "{{service}}: {{reason}}")], thresholds=limits((1, BAD)),
    traces=OF_SERIES)
BOARD.graph("Deadlines exceeded", "Handlers that took longer than their kind of message may, by what was done about it, by the second.", "ops",
    [query("sum by (service, actor, message, action) (rate(actor_deadline_exceeded_total{<S>}[<R>]))", "{{actor}} {{message}}: {{action}}")],
    thresholds=limits((0.01, WARNING)), traces=OF_SERIES)
BOARD.graph("Faults on purpose", "What VISCOUNT_FAULTS made fail, by the second. Nothing here where it counts.", "ops",
    [query("sum by (service, kind) (rate(faults_injected_total{<S>}[<R>]))", "{{service}}: {{kind}}")], thresholds=limits((0.01, WARNING)))
BOARD.graph("Messages lost", "Messages that were accepted and that no handler answered; whoever asked was told.", "ops",
    [query("sum by (service, actor, reason) (rate(actor_messages_lost_total{<S>}[<R>]))", "{{actor}} of {{service}}: {{reason}}")],
    thresholds=limits((1, WARNING)), to=[("orders",)])

BOARD.row("Work")
BOARD.graph("Mailboxes", "Messages accepted and not yet finished.", "none",
    [query("sum by (service, actor) (actor_mailbox_depth{<S>})", "{{actor}} of {{service}}")], thresholds=limits((1000, WARNING)),
    to=[("red", "service")])
BOARD.graph("Wait in the mailbox", "How long the oldest message of a batch waited, 99 of 100 times.", "s",
    [query("histogram_quantile(0.99, sum by (service, actor, le) (rate(actor_mailbox_wait_seconds_bucket{<S>}[<R>])))", "{{actor}} of {{service}} p99")],
    thresholds=limits((0.1, WARNING), (1, BAD)), traces=OF_SERIES)
BOARD.graph("Time of a batch", "How long a batch of messages took, 99 of 100 times.", "s",
    [query("histogram_quantile(0.99, sum by (service, actor, le) (rate(actor_handle_seconds_bucket{<S>}[<R>])))", "{{actor}} of {{service}} p99")],
    thresholds=limits((0.1, WARNING), (1, BAD)), to=[("postgresql", "service")], traces=OF_SERIES)
BOARD.graph("Turned away", "Messages refused, by reason; their senders get 503.", "ops",
    [query("sum by (service, actor, reason) (rate(actor_mailbox_rejected_total{<S>}[<R>]))", "{{actor}} of {{service}}: {{reason}}")],
    thresholds=limits((1, WARNING)))
BOARD.graph("Entities alive", "Orders, payments, stocks in memory.", "none",
    [query("sum by (service, kind) (actor_live{<S>})", "{{kind}} of {{service}}")], stack=True)
BOARD.graph("Put to rest", "Entities that nobody needed any more, by the second.", "ops",
    [query("sum by (service, actor) (rate(actor_passivations_total{<S>}[<R>]))", "{{actor}} of {{service}}")])
