"""Business: what the shop earns and loses."""

from .model import BAD, GOOD, WARNING, Board, at_least, limits, query

BOARD = Board("business", "What the shop takes in, gives back and loses. Money is in minor units of its currency: pence, cents.")

BOARD.row("In the chosen time")
BOARD.stat("Orders", "Orders accepted.", "none",
    [query('sum(increase(orders_total{status="created",<I>}[$__range]))', "accepted")], to=[("orders",)])
BOARD.stat("Completed", "Of the orders accepted, those that were completed.", "percentunit",
    [query('sum(increase(orders_total{status="completed",<I>}[$__range])) / sum(increase(orders_total{status="created",<I>}[$__range]))', "completed")],
    thresholds=at_least((0.5, WARNING), (0.8, GOOD)), to=[("orders",)])
BOARD.stat("Revenue", "Totals of completed orders, in minor units.", "none",
    [query("sum by (currency) (increase(orders_revenue_minor_units_total{<I>}[$__range]))", "{{currency}}")])
BOARD.stat("Refunded", "Money given back, in minor units.", "none",
    [query("sum by (currency) (increase(orders_refunded_minor_units_total{<I>}[$__range]))", "{{currency}}")])
BOARD.stat("Payments declined", "Payments that the provider declined.", "none",
    [query("sum(increase(payments_declined_total{<I>}[$__range]))", "declined")], thresholds=limits((100, WARNING)))
BOARD.stat("Stock-outs", "Orders that were rejected because there was not enough in stock.", "none",
    [query("sum(increase(inventory_stock_outs_total{<I>}[$__range]))", "rejected")], thresholds=limits((100, WARNING)))

BOARD.row("Over time")
BOARD.graph("Orders a minute", "Orders by the status that they came to.", "opm",
    [query("60 * sum by (status) (rate(orders_total{<I>}[<R>]))", "{{status}}")], to=[("orders",)])
BOARD.graph("Revenue an hour", "Totals of completed orders, in minor units, by the hour.", "none",
    [query("3600 * sum by (currency) (rate(orders_revenue_minor_units_total{<I>}[<R>]))", "{{currency}}")])
BOARD.graph("Refunds an hour", "Money given back, in minor units, by the hour.", "none",
    [query("3600 * sum by (currency) (rate(orders_refunded_minor_units_total{<I>}[<R>]))", "{{currency}}")])
BOARD.graph("From created to completed", "How long it takes until an order is completed.", "s",
    [query(f'histogram_quantile({share}, sum by (le) (rate(order_final_seconds_bucket{{status="completed",<I>}}[<R>])))', f"p{round(share * 100)}", exemplar=True)
     for share in (0.5, 0.95)], thresholds=limits((5, BAD)), to=[("orders",)], traces="orders")
BOARD.graph("Declined by reason", "Why the provider declined payments, by the minute.", "opm",
    [query("60 * sum by (reason) (rate(payments_declined_total{<I>}[<R>]))", "{{reason}}")], stack=True, to=[("orders",)])
BOARD.graph("Stock-outs a minute", "Orders rejected for lack of stock, by the minute.", "opm",
    [query("60 * sum(rate(inventory_stock_outs_total{<I>}[<R>]))", "rejected")])

BOARD.row("Customers and goods")
BOARD.graph("Customers", "Registrations and logins by how they ended, by the minute.", "opm",
    [query("60 * sum by (outcome) (rate(identity_registrations_total{<I>}[<R>]))", "registration: {{outcome}}"),
     query("60 * sum by (outcome) (rate(identity_logins_total{<I>}[<R>]))", "login: {{outcome}}")])
BOARD.graph("Searches", "Searches by how the words had to be taken, by the minute.", "opm",
    [query("60 * sum by (mode) (rate(catalog_searches_total{<I>}[<R>]))", "{{mode}}")])
BOARD.graph("Goods", "Changes of products, and of stock by hand, by the minute.", "opm",
    [query("60 * sum by (change) (rate(catalog_changes_total{<I>}[<R>]))", "product {{change}}"),
     query("60 * sum by (reason) (rate(inventory_adjustments_total{<I>}[<R>]))", "stock: {{reason}}")])
