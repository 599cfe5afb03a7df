"""Holds dashboards, rules, runbooks and the reference of metrics against each other, with nothing but Python.

    python3 compose/check_observability.py           reads grafana/, prometheus/, docs/runbooks/ and docs/metrics.md
    python3 compose/check_observability.py --test    the check finds what it should

What is checked. Dashboards: the JSON is what dashboards.py writes; each panel has a title, a description, a unit, limits, queries
and the data source variable; every variable is defined and used; links lead to dashboards that exist and hand over variables
that these have; metrics and labels exist. Rules: the same of metrics; each alert has a severity, a summary, a description, a
dashboard, a runbook, and tests in which it fires and in which it is silent. Runbooks: one for each alert, no other, with
the parts that are looked for at night. That rules do what their tests say, and that one fires on a running platform, a real
Prometheus says: tests/it/observability.
"""

import json
import os
import re
import sys
import unittest

from simple_yaml import Yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(HERE, "grafana"))
import dashboards  # noqa: E402  (the folder is on no path of Python's own)

RULES, TESTS = os.path.join(HERE, "prometheus/rules"), os.path.join(HERE, "prometheus/tests")
RUNBOOKS, REFERENCE = os.path.join(ROOT, "docs/runbooks"), os.path.join(ROOT, "docs/metrics.md")
RUNBOOK_URL = "https://github.com/first-viscount/first-viscount/blob/main/docs/runbooks/"
# What Prometheus itself adds.
ITS_OWN = {
    "up": set(),
    "scrape_duration_seconds": set(),
    "ALERTS": {"alertname", "alertstate", "severity", "service", "actor", "slo", "window"},
}
FROM_SCRAPING = {"instance", "job", "le", "exported_instance"}
SEVERITIES = {"page", "ticket"}
PARTS_OF_A_RUNBOOK = ("## What it means", "## How to look", "## What to do")


# --- metrics --------------------------------------------------------------------------------------------------------


def metrics_of(reference):
    """Names and their labels, from the tables of docs/metrics.md: | `name{label,label}` | kind, unit | … |."""
    found = {}
    for name, _, inside, kind in re.findall(r"^\| `([a-z_]+)(\{([a-z_,]+)\})?` \| (\w+)", reference, re.MULTILINE):
        found[name] = set(inside.split(",")) - {""}
        if kind == "histogram":
            for part in ("bucket", "sum", "count"):
                found[f"{name}_{part}"] = found[name]
    return found


def selectors(query):
    """Metrics of a query, each with the labels that are asked of it."""
    texts = []

    def kept(match):
        texts.append(match[0])
        return f'"{len(texts) - 1}"'

    bare = re.sub(r'"[^"]*"', kept, query)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\[[^\]]*\]|\boffset\s+\w+|\$\w+", " ", bare)
    for name, _, inside in re.findall(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()(\{([^}]*)\})?", bare):
        if name not in ("and", "or", "unless", "bool") and not re.fullmatch(r"\d\w*|e\d*", name):
            yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))


def check_query(where, query, metrics, recorded):
    """Its metrics exist, and have the labels that are asked for."""
    if query.count("(") != query.count(")"):
        yield f"{where}: parentheses do not match"
    for name, labels in selectors(query):
        if name in recorded:
            continue
        if name not in metrics:
            yield f"{where}: no metric is called {name}"
            continue
        for label in sorted(labels - metrics[name] - FROM_SCRAPING):
            yield f"{where}: {name} has no label {label}"


# --- dashboards -----------------------------------------------------------------------------------------------------


def texts_in(value):
    """Every text in a piece of JSON."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, str):
        yield value


def used_variables(board):
    """Variables that panels and annotations ask for; Grafana's own are left out."""
    parts = {name: value for name, value in board.items() if name != "templating"}
    text = "\n".join(texts_in(parts))
    names = set(re.findall(r"\$(\w+)|\$\{([\w.]+)(?::\w+)?\}", text))
    names = {one or other for one, other in names}
    return {name for name in names if not name.startswith("__") and not name.isdigit()}


def check_board(file, board, every, metrics, recorded):
    """One dashboard; `every` maps addresses to dashboards."""
    if not board.get("description"):
        yield f"{file}: no description"
    defined = [variable["name"] for variable in board["templating"]["list"]]
    used = used_variables(board) | used_variables({"list": board["templating"]["list"]})
    for name in sorted(set(defined) - used):
        yield f"{file}: nothing uses the variable {name}"
    for name in sorted(used - set(defined)):
        yield f"{file}: no variable is called {name}"
    titles = set()
    for panel in board["panels"]:
        title = panel.get("title") or "a panel without a title"
        where = f"{file}: {title}"
        if panel["type"] != "row":
            if title in titles:
                yield f"{where}: for the second time"
            titles.add(title)
            yield from check_panel(where, panel)
            yield from check_links(where, panel, set(defined), every)
        for target in panel.get("targets", []):
            yield from check_query(where, target["expr"], metrics, recorded)
    for note in board["annotations"]["list"]:
        yield from check_query(f"{file}: {note['name']}", note["expr"], metrics, recorded)


def check_panel(where, panel):
    """What every panel has."""
    defaults = panel["fieldConfig"]["defaults"]
    missing = {
        "title": panel.get("title"),
        "description": panel.get("description"),
        "unit": defaults.get("unit"),
        "limits": (defaults.get("thresholds") or {}).get("steps"),
        "queries": panel.get("targets"),
    }
    for what, value in missing.items():
        if not value:
            yield f"{where}: no {what}"
    for source in [panel.get("datasource"), *(target.get("datasource") for target in panel.get("targets", []))]:
        if (source or {}).get("uid") != "${datasource}":
            yield f"{where}: the data source is not the variable"


def check_links(where, panel, defined, every):
    """Links lead to dashboards, with variables that both sides know."""
    for link in panel["fieldConfig"]["defaults"].get("links", []):
        match = re.match(r"/d/([\w-]+)\?(.*)$", link["url"])
        if not match:
            if not link["url"].startswith("/explore?"):
                yield f"{where}: {link['url']} leads nowhere"
            continue
        target = every.get(match[1])
        if target is None:
            yield f"{where}: no dashboard is called {match[1]}"
            continue
        known = {variable["name"] for variable in target["templating"]["list"]}
        handed = re.findall(r"\$\{(\w+):queryparam\}|var-(\w+)=", match[2])
        for ours, theirs in handed:
            if (ours or theirs) not in known or (ours and ours not in defined):
                yield f"{where}: {match[1]} takes no {ours or theirs}"


# --- rules ----------------------------------------------------------------------------------------------------------


def rules_of(files):
    """Every rule of these files: (file, rule)."""
    for file, content in files.items():
        for group in Yaml.read(content)["groups"]:
            for rule in group["rules"]:
                yield file, rule


def check_rules(rules, metrics, recorded, boards, runbooks):
    """Alerts have what somebody needs at night."""
    for file, rule in rules:
        name = rule.get("alert") or rule.get("record")
        where = f"{file}: {name}"
        yield from check_query(where, rule["expr"], metrics, recorded)
        if "alert" not in rule:
            continue
        notes = rule.get("annotations") or {}
        if (rule.get("labels") or {}).get("severity") not in SEVERITIES:
            yield f"{where}: its severity is none of {', '.join(sorted(SEVERITIES))}"
        for wanted in ("summary", "description"):
            if not notes.get(wanted):
                yield f"{where}: no {wanted}"
        if notes.get("dashboard", "").removeprefix("/d/") not in boards:
            yield f"{where}: no dashboard is at {notes.get('dashboard')}"
        if notes.get("runbook_url") != f"{RUNBOOK_URL}{name}.md":
            yield f"{where}: the runbook's address is not {RUNBOOK_URL}{name}.md"
        if name not in runbooks:
            yield f"{where}: docs/runbooks/{name}.md is not there"


def check_runbooks(runbooks, alerts):
    """One for each alert, with its parts; README.md lists them."""
    for name, text in sorted(runbooks.items()):
        if name == "README":
            for alert in sorted(alerts):
                if f"({alert}.md)" not in text:
                    yield f"docs/runbooks/README.md does not list {alert}"
            continue
        if name not in alerts:
            yield f"docs/runbooks/{name}.md: no alert has this name"
        for part in PARTS_OF_A_RUNBOOK:
            if part not in text:
                yield f"docs/runbooks/{name}.md: no {part.strip('# ').lower()}"


def check_tests(tests, alerts):
    """Each alert is seen firing, and seen silent. The name of a test begins with what it is about."""
    seen = set()
    for file, content in tests.items():
        for test in Yaml.read(content)["tests"]:
            alert, _, rest = test["name"].partition(" ")
            how = "fires" if rest.startswith("fires") else "silent" if rest.startswith("is silent") else None
            expected = [sample for asked in test["promql_expr_test"] for sample in asked.get("exp_samples") or []]
            if how is None or alert not in alerts:
                yield f"{file}: {test['name']} does not say which alert fires or is silent"
            elif (how == "fires") != any(f'alertname="{alert}"' in sample["labels"] for sample in expected):
                yield f"{file}: {test['name']}: expects something else"
            else:
                seen.add((alert, how))
    for alert in sorted(alerts):
        for how in ("fires", "silent"):
            if (alert, how) not in seen:
                yield f"{alert} has no test in which it is {how}".replace("it is fires", "it fires")


# --- all of it ------------------------------------------------------------------------------------------------------


def contents(folder, ending):
    """The files of a folder by their names."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(ending):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found[name] = file.read()
    return found


def violations():
    """One line each."""
    for name in dashboards.stale():
        yield f"grafana/dashboards/{name} is not what dashboards.py writes"
    with open(REFERENCE, encoding="utf-8") as file:
        metrics = {**metrics_of(file.read()), **ITS_OWN}
    rules = list(rules_of(contents(RULES, ".yml")))
    recorded = {rule["record"] for _, rule in rules if "record" in rule}
    alerts = {rule["alert"] for _, rule in rules if "alert" in rule}
    boards = {name: json.loads(text) for name, text in contents(dashboards.HERE, ".json").items()}
    every = {board["uid"]: board for board in boards.values()}
    for file, board in boards.items():
        yield from check_board(file, board, every, metrics, recorded)
    runbooks = {name.removesuffix(".md"): text for name, text in contents(RUNBOOKS, ".md").items()}
    yield from check_rules(rules, metrics, recorded, every, runbooks)
    yield from check_runbooks(runbooks, alerts)
    yield from check_tests(contents(TESTS, ".yml"), alerts)


# --- the check itself -----------------------------------------------------------------------------------------------


class Queries(unittest.TestCase):
    """Metrics and labels in PromQL."""

    def test_metrics_and_their_labels_are_found(self):
        query = (
            'topk(3, sum by (le, route) (rate(a_bucket{route=~"/x/{id}|b_c",le="5"}[$__rate_interval])) > 0)'
            ' / on (slo) group_left () b:c unless d offset 5m or 0 * (1 - up{job!="d"})'
        )
        found = [("a_bucket", {"route", "le"}), ("b:c", set()), ("d", set()), ("up", {"job"})]
        self.assertEqual(list(selectors(query)), found)

    def test_what_is_not_there_is_found(self):
        metrics = {"a_total": {"service"}}
        self.assertEqual(list(check_query("x", 'rate(a_total{service="b",instance="c"}[1m])', metrics, set())), [])
        self.assertEqual(list(check_query("x", 'rate(a_total{kind="b"}[1m])', metrics, set())), ["x: a_total has no label kind"])
        self.assertEqual(list(check_query("x", "sum(b_total + c:d)", metrics, {"c:d"})), ["x: no metric is called b_total"])
        self.assertEqual(len(list(check_query("x", "sum(a_total", metrics, set()))), 1)

    def test_the_reference_is_read(self):
        text = "| metric | kind | |\n|---|---|---|\n| `a_seconds{service,kind}` | histogram, seconds | How long. |\n| `b` | gauge | C. |\n"
        self.assertEqual(set(metrics_of(text)), {"a_seconds", "a_seconds_bucket", "a_seconds_sum", "a_seconds_count", "b"})
        self.assertEqual([metrics_of(text)[name] for name in ("a_seconds_sum", "b")], [{"service", "kind"}, set()])


class Dashboards(unittest.TestCase):
    """Each rule, on what breaks it."""

    def board(self, uid="one", url="/d/one?${service:queryparam}&${__url_time_range}", **panel):
        source = {"uid": "${datasource}"}
        good = {
            "type": "stat",
            "title": "A",
            "description": "B",
            "datasource": source,
            "targets": [{"expr": 'up{service="$service"}', "datasource": source}],
            "fieldConfig": {"defaults": {"unit": "s", "thresholds": {"steps": [{}]}, "links": [{"url": url}]}},
        }
        variables = [{"name": "datasource"}, {"name": "service"}]
        return {
            "uid": uid,
            "description": "C",
            "templating": {"list": variables},
            "annotations": {"list": []},
            "panels": [{**good, **panel}],
        }

    def found(self, board):
        return list(check_board("x", board, {"one": self.board()}, {"up": {"service"}}, set()))

    def test_what_is_as_it_should_be_passes(self):
        self.assertEqual(self.found(self.board()), [])

    def test_what_is_missing_is_found(self):
        self.assertEqual(self.found(self.board(title="")), ["x: a panel without a title: no title"])
        self.assertEqual(self.found(self.board(description="")), ["x: A: no description"])
        self.assertEqual(len(self.found(self.board(datasource={"uid": "prometheus"}))), 1)
        bare = self.board()
        bare["panels"][0]["fieldConfig"]["defaults"] = {}
        self.assertEqual(self.found(bare), ["x: A: no unit", "x: A: no limits"])

    def test_dead_variables_are_found(self):
        board = self.board()
        board["templating"]["list"].append({"name": "traces"})
        self.assertEqual(self.found(board), ["x: nothing uses the variable traces"])
        board = self.board(url="/d/one?${traces:queryparam}")
        self.assertEqual(self.found(board), ["x: no variable is called traces", "x: A: one takes no traces"])

    def test_links_that_lead_nowhere_are_found(self):
        self.assertEqual(self.found(self.board(url="/d/two?")), ["x: A: no dashboard is called two"])
        self.assertEqual(self.found(self.board(url="/d/one?var-kind=a")), ["x: A: one takes no kind"])
        self.assertEqual(self.found(self.board(url="two")), ["x: A: two leads nowhere"])


class Rules(unittest.TestCase):
    """Alerts, their runbooks and their tests."""

    NOTES = {"summary": "a", "description": "b", "dashboard": "/d/one", "runbook_url": f"{RUNBOOK_URL}A.md"}
    TEST = "tests:\n  - name: A fires at once\n    promql_expr_test:\n      - expr: ALERTS\n        exp_samples:\n          - labels: '{alertname=\"A\"}'\n"

    def found(self, severity="page", **notes):
        rule = {"alert": "A", "expr": "up == 0", "labels": {"severity": severity}, "annotations": {**self.NOTES, **notes}}
        return list(check_rules([("x", rule)], {"up": set()}, set(), {"one"}, {"A"}))

    def test_alerts_have_what_is_needed(self):
        self.assertEqual(self.found(), [])
        for wrong in ({"severity": "bad"}, {"summary": ""}, {"dashboard": "/d/two"}, {"runbook_url": "B.md"}):
            self.assertEqual(len(self.found(**wrong)), 1, wrong)

    def test_runbooks_and_alerts_are_the_same_list(self):
        text = "\n".join(PARTS_OF_A_RUNBOOK)
        self.assertEqual(list(check_runbooks({"A": text, "README": "(A.md)"}, {"A"})), [])
        self.assertEqual(len(list(check_runbooks({"B": text, "README": ""}, {"A"}))), 2)
        self.assertEqual(len(list(check_runbooks({"A": "## What it means"}, {"A"}))), 2)

    def test_alerts_are_seen_firing_and_silent(self):
        silent = "  - name: A is silent\n    promql_expr_test:\n      - expr: ALERTS\n"
        self.assertEqual(list(check_tests({"x": self.TEST + silent}, {"A"})), [])
        self.assertEqual(list(check_tests({"x": self.TEST}, {"A"})), ["A has no test in which it is silent"])
        self.assertEqual(len(list(check_tests({"x": self.TEST.replace("fires at once", "is silent")}, {"A"}))), 3)


if __name__ == "__main__":
    if sys.argv[1:] == ["--test"]:
        unittest.main(argv=[sys.argv[0]])
    broken = list(violations())
    for line in broken:
        print(line)
    print(f"observability: {len(broken)} violations")
    sys.exit(1 if broken else 0)
