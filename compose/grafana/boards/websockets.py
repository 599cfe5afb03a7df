"""Websockets: who watches, and what they are told."""

from .model import WARNING, Board, limits, query

BOARD = Board("websockets", "Customers that watch their orders over websockets, and what goes over them.")

BOARD.row("Connections")
BOARD.graph("Websockets", "Open websockets of each service.", "none",
    [query("sum by (service) (websocket_connections{<S>})", "{{service}}")], thresholds=limits((10_000, WARNING)), to=[("red", "service")])
BOARD.graph("At the gateway", "Connections of clients, and those of them that are tunnels: websockets that are passed through.", "none",
    [query("sum(gateway_connections{<I>})", "connections"), query("sum(gateway_tunnels{<I>})", "tunnels")], to=[("gateway",)])
BOARD.graph("Orders watched", "Watchers, over websockets and server-sent events.", "none",
    [query("sum(order_stream_watchers{<I>})", "watchers")], to=[("orders",)])

BOARD.row("What goes over them")
BOARD.graph("Messages", "Messages in each direction, pings and goodbyes included, by the second.", "ops",
    [query("sum by (service, direction) (rate(websocket_frames_total{<S>}[<R>]))", "{{service}} {{direction}}")], to=[("orders",)])
BOARD.graph("Bytes", "What was in these messages, by the second.", "Bps",
    [query("sum by (service, direction) (rate(websocket_bytes_total{<S>}[<R>]))", "{{service}} {{direction}}")])
BOARD.graph("Bytes in a message", "How large a message is, on average.", "bytes",
    [query("sum by (service, direction) (rate(websocket_bytes_total{<S>}[<R>])) / sum by (service, direction) (rate(websocket_frames_total{<S>}[<R>]))", "{{service}} {{direction}}")])

BOARD.row("Getting in, and what it costs")
BOARD.graph("Opened", "Requests for a stream or a ticket for one, by route and class of status.", "reqps",
    [query('sum by (route, status) (rate(gateway_requests_total{route=~"/v1/orders/{id}/stream.*",<I>}[<R>]) > 0)', "{{route}} {{status}}")], to=[("gateway",)],
    traces="gateway")
BOARD.graph("Memory", "Resident memory of each process; a websocket takes a few kilobytes.", "bytes",
    [query("process_resident_memory_bytes{<I>}", "{{instance}}")], to=[("red",)])
BOARD.graph("Open files", "File descriptors; a websocket takes two at the gateway and one in the service.", "none",
    [query("process_open_fds{<I>}", "{{instance}}")], thresholds=limits((50_000, WARNING)), to=[("red",)])
