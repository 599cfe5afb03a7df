"""The dashboards, each from a file of its own."""

from . import business, events, gateway, orders, overview, postgresql, red, slo, supervision, websockets

EVERY = [
    one.BOARD for one in (overview, slo, orders, business, gateway, red, supervision, events, postgresql, websockets)
]
