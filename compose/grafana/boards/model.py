"""What a dashboard is made of, and the JSON that Grafana reads.

A board says what it shows: titles, queries, units, limits. Everything that is the same everywhere (data source, variables,
annotations, links, colours, the grid) is said here, once.

In queries stand `<S>` for the filter by service and instance, `<I>` for the one by instance alone, and `<R>` for the window of a
rate.
"""

import json
from urllib.parse import quote

TAG = "viscount"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
FILTERS = {
    "<S>": 'service=~"$service",instance=~"$instance"',
    "<I>": 'instance=~"$instance"',
    "<R>": "$__rate_interval",
}
# Every dashboard: its title, and whether its metrics tell their service (else they can be told apart by instance alone).
BOARDS = {
    "overview": ("overview", False),
    "slo": ("objectives", False),
    "orders": ("order flow", False),
    "business": ("business", False),
    "gateway": ("gateway", False),
    "red": ("services", True),
    "supervision": ("supervision", True),
    "events": ("event log", True),
    "postgresql": ("PostgreSQL", True),
    "websockets": ("websockets", True),
}
GOOD, WARNING, BAD = "green", "orange", "red"


def uid(board):
    """A dashboard's address: `/d/<uid>`."""
    return f"viscount-{board}"


def filled(query):
    """The query as Grafana reads it."""
    for short, long in FILTERS.items():
        query = query.replace(short, long)
    return query


def query(expr, legend="", **more):
    """One query of a panel, and the name of its series."""
    return {"expr": filled(expr), "legendFormat": legend, **more}


def quantiles(metric, filters, by="", of=(0.5, 0.95, 0.99)):
    """The usual quantiles of a histogram, with exemplars; `by` is the label that tells its series from each other."""
    labels = f"{by}, le" if by else "le"
    legend = f"{{{{{by}}}}} p" if by else "p"
    return [
        query(
            f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{filters}}}[<R>])))",
            f"{legend}{round(share * 100)}",
            exemplar=True,
        )
        for share in of
    ]


def limits(*steps):
    """Where a value begins to be another one's business: `(0.9, WARNING)`. Below the first one it is good."""
    return {
        "mode": "absolute",
        "steps": [{"color": GOOD, "value": None}] + [{"color": color, "value": value} for value, color in steps],
    }


def at_least(*steps):
    """The other way round: good is what is large. `at_least((0.2, WARNING), (0.5, GOOD))`; below the first one it is bad."""
    thresholds = limits(*steps)
    thresholds["steps"][0]["color"] = BAD
    return thresholds


class Board:
    """One dashboard of the table."""

    def __init__(self, name, description):
        self.name, self.description = name, description
        self.title, self.per_service = BOARDS[name]
        self.panels, self.traces = [], False
        self.x = self.y = self.height = 0

    # --- panels -----------------------------------------------------------------------------------------------------

    def row(self, title):
        """A headline over what follows."""
        self.place(24, 1)
        self.panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": self.at(24, 1)})

    def graph(self, title, description, unit, queries, *, width=8, stack=False, **more):
        """Lines over time; from 0, unless they may be `negative`."""
        drawing = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stack else 8, "showPoints": "never"}
        drawing["stacking"] = {"mode": "normal" if stack else "none", "group": "A"}
        if "thresholds" in more:
            drawing["thresholdsStyle"] = {"mode": "dashed"}
        options = {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        defaults = {"custom": drawing} if more.get("negative") else {"custom": drawing, "min": 0}
        self.add("timeseries", title, description, unit, queries, width, 8, options, defaults, **more)

    def stat(self, title, description, unit, queries, *, width=4, **more):
        """One number each, as it is now."""
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
            "textMode": "auto",
        }
        self.add("stat", title, description, unit, queries, width, 4, options, {}, **more)

    def bars(self, title, description, unit, queries, *, width=8, **more):
        """One bar for each series, as it is now."""
        queries = [{**one, "instant": True, "range": False} for one in queries]
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "horizontal",
            "displayMode": "gradient",
        }
        self.add("bargauge", title, description, unit, queries, width, 8, options, {"min": 0}, **more)

    def heatmap(self, title, description, unit, queries, *, width=12, **more):
        """How a distribution moves; one column is a histogram."""
        queries = [{**one, "format": "heatmap"} for one in queries]
        options = {
            "calculate": False,
            "yAxis": {"unit": unit, "axisPlacement": "left"},
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
            "cellGap": 1,
            "tooltip": {"mode": "single", "yHistogram": True},
            "exemplars": {"color": "rgba(31,96,196,0.9)"},
        }
        self.add("heatmap", title, description, unit, queries, width, 8, options, {}, **more)

    def table(self, title, description, unit, queries, *, width=12, hidden=(), **more):
        """The series of now, a row each, without the labels that are `hidden`."""
        queries = [{**one, "instant": True, "range": False, "format": "table"} for one in queries]
        gone = {name: True for name in ("Time", "__name__", "job", *hidden)}
        change = {"id": "organize", "options": {"excludeByName": gone, "indexByName": {}, "renameByName": {}}}
        options = {"showHeader": True, "cellHeight": "sm"}
        self.add("table", title, description, unit, queries, width, 8, options, {}, change=[change], **more)

    def add(self, kind, title, description, unit, queries, width, height, options, defaults, **more):
        """Whatever kind it is."""
        self.place(width, height)
        links = [self.link(*to) for to in more.get("to", ())]
        if "traces" in more:
            self.traces = True
            links.append(traces_of(more["traces"]))
        panel = {
            "type": kind,
            "title": title,
            "description": description,
            "datasource": SOURCE,
            "gridPos": self.at(width, height),
            "fieldConfig": {
                "defaults": {"unit": unit, "thresholds": more.get("thresholds", limits()), "links": links, **defaults},
                "overrides": [],
            },
            "options": options,
            "targets": [
                {"refId": chr(ord("A") + at), "datasource": SOURCE, **one} for at, one in enumerate(queries)
            ],
        }
        if "change" in more:
            panel["transformations"] = more["change"]
        self.panels.append(panel)

    def place(self, width, height):
        """Begins another line when this one is full."""
        if self.x + width > 24:
            self.x, self.y, self.height = 0, self.y + self.height, 0
        self.height = max(self.height, height)

    def at(self, width, height):
        """The place of what is as large, which is then taken."""
        place = {"x": self.x, "y": self.y, "w": width, "h": height}
        self.x += width
        return place

    def link(self, board, label=None):
        """To another dashboard, with the variables that both have. `label`: the service is that of the series."""
        title, per_service = BOARDS[board]
        parts = ["${datasource:queryparam}", "${instance:queryparam}"]
        if label:
            parts.append(f"var-service=${{__field.labels.{label}}}")
        elif self.per_service and per_service:
            parts.append("${service:queryparam}")
        return {"title": f"To: {title}", "url": f"/d/{uid(board)}?" + "&".join([*parts, "${__url_time_range}"])}

    # --- the JSON ---------------------------------------------------------------------------------------------------

    def json(self):
        """As the file has it."""
        for number, panel in enumerate(self.panels, 1):
            panel["id"] = number
        return json.dumps(self.whole(), indent=2, ensure_ascii=False) + "\n"

    def whole(self):
        links = [{"type": "dashboards", "title": "Dashboards", "tags": [TAG], "asDropdown": True, "keepTime": True, "includeVars": True}]
        return {
            "uid": uid(self.name),
            "title": f"First Viscount: {self.title}",
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": 39,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-30m", "to": "now"},
            "timezone": "browser",
            "links": links,
            "templating": {"list": self.variables()},
            "annotations": {"list": annotations(self.per_service)},
            "panels": self.panels,
        }

    def variables(self):
        """Those that something on this board uses."""
        found = [source("datasource", "Metrics", "prometheus")]
        if self.traces:
            found.append(source("traces", "Traces", "jaeger"))
        if self.per_service:
            found.append(values("service", "Service", "label_values(build_info, service)"))
        found.append(values("instance", "Instance", "label_values(build_info, instance)"))
        return found


def source(name, label, kind):
    """A variable: which data source."""
    return {"type": "datasource", "name": name, "label": label, "query": kind, "hide": 0, "includeAll": False, "multi": False}


def values(name, label, asked):
    """A variable: values of a label, all of them at first."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": asked, "refId": name},
        "definition": asked,
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def annotations(per_service):
    """Restarts of actors, and starts of processes with their version."""
    falls = "actor_restarts_total{<S>}" if per_service else "actor_restarts_total{<I>}"
    restarts = f"sum by (service, actor, reason) (({falls} unless {falls} offset 1m) or increase({falls}[1m])) > 0"
    starts = (
        "max by (instance, version) (build_info{<I>}) * on (instance) group_left ()"
        " max by (instance) (process_start_time_seconds{<I>}) * 1000"
    )
    return [
        {
            "name": "Restarts",
            "datasource": SOURCE,
            "enable": True,
            "iconColor": BAD,
            "expr": filled(restarts),
            "step": "60s",
            "titleFormat": "{{actor}} of {{service}} restarted",
            "textFormat": "{{reason}}",
        },
        {
            "name": "Deployments",
            "datasource": SOURCE,
            "enable": True,
            "iconColor": "blue",
            "expr": filled(starts),
            "step": "60s",
            "useValueForTime": "on",
            "titleFormat": "{{instance}} started",
            "textFormat": "version {{version}}",
        },
    ]


def traces_of(service):
    """A link to the traces of a service in Grafana's Explore. It has the same name there."""
    asked = {"refId": "A", "queryType": "search", "service": service}
    pane = {"datasource": "${traces}", "queries": [asked], "range": {"from": "${__from}", "to": "${__to}"}}
    text = json.dumps({"a": pane}, separators=(",", ":"))
    return {"title": "Traces", "url": "/explore?schemaVersion=1&panes=" + quote(text, safe="${}_.:,"), "targetBlank": True}


# The traces of whatever service a series is of.
OF_SERIES = "${__field.labels.service}"
