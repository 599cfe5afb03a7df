"""Objectives: what was promised, what is left, how fast it goes."""

from .model import BAD, GOOD, WARNING, Board, at_least, limits, query

BOARD = Board("slo", "What was promised, how much of each error budget is left, and how fast it burns.")

BOARD.row("What is left")
BOARD.stat("Objectives", "The share of good requests or orders that was promised.", "percentunit",
    [query("1 - slo:error_budget:ratio", "{{slo}}")], width=12, thresholds=at_least((0.9, GOOD)))
BOARD.stat("Reached, over three days", "The share of good requests or orders, with all instances taken together.", "percentunit",
    [query("1 - slo:error_ratio:rate3d", "{{slo}}")], width=12, thresholds=at_least((0.95, WARNING), (0.99, GOOD)),
    to=[("gateway",), ("orders",)])
BOARD.graph("Error budget left", "Of three days. Below zero the objective is missed.", "percentunit",
    [query("1 - slo:error_ratio:rate3d / on (slo) slo:error_budget:ratio", "{{slo}}")],
    width=24, thresholds=at_least((0, WARNING), (0.5, GOOD)), negative=True)

BOARD.row("How fast it burns: 1 spends exactly the budget")
for slo, title, board in (
    ("availability", "Availability", "gateway"),
    ("order_latency", "Orders accepted within 200 ms", "gateway"),
    ("order_final", "Orders final within 5 s", "orders"),
):
    BOARD.graph(f"{title}: burn rate",
        "How many times too fast the budget is spent, over several windows. Pages: 14.4 over 1h and 5m, 6 over 6h and 30m. Ticket: 1 over 3d and 6h.",
        "none",
        [query(f'slo:error_ratio:rate{window}{{slo="{slo}"}} / on (slo) slo:error_budget:ratio', window)
         for window in ("5m", "30m", "1h", "6h", "3d")],
        thresholds=limits((1, WARNING), (6, BAD)), to=[(board,)])

BOARD.row("What fires")
BOARD.table("Alerts", "Alerts that are pending or firing. docs/runbooks has a page for each, by its name.", "none",
    [query("sum by (alertname, alertstate, severity, service, instance, actor, slo, window) (ALERTS)")],
    width=24, hidden=("Value",), to=[("supervision",), ("events",), ("orders",)])
