"""Holds compose/ against the code and against house rules, with nothing but Python.

    python3 compose/check.py           reads compose.yaml, .env.example and what they mount
    python3 compose/check.py --test    the check finds what it should

What is checked: every environment variable that a process of ours is given is one that the code reads; every container
has a health check, a limit of memory, a restart policy and a pinned image; doors open on loopback and above port 1023;
.env.example has every variable, and no other; Prometheus asks ports that services have. Dashboards and rules have a check of their
own: check_observability.py.
"""

import os
import re
import sys
import unittest

from simple_yaml import Unreadable, Yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# Folders whose Rust is in the program.
CODE = ["src", "actors/src", "chassis/src", "gateway/src"] + [
    f"services/{name}/src" for name in sorted(os.listdir(os.path.join(ROOT, "services")))
]
# The images of others, and what they may be told.
OTHERS = {
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"},
    "docker.redpanda.com/redpandadata/redpanda": set(),
    "docker.redpanda.com/redpandadata/console": {"KAFKA_BROKERS", "SCHEMAREGISTRY_ENABLED", "SCHEMAREGISTRY_URLS"},
    "prom/prometheus": set(),
    "grafana/grafana": {
        "GF_SECURITY_ADMIN_USER",
        "GF_SECURITY_ADMIN_PASSWORD",
        "GF_USERS_ALLOW_SIGN_UP",
        "GF_ANALYTICS_REPORTING_ENABLED",
        "GF_ANALYTICS_CHECK_FOR_UPDATES",
    },
    "otel/opentelemetry-collector-contrib": set(),
    "jaegertracing/jaeger": set(),
    "axllent/mailpit": set(),
}
# Images with nothing inside that could ask.
CANNOT_ASK = {"otel/opentelemetry-collector-contrib", "jaegertracing/jaeger"}
OUR_IMAGE = "${VISCOUNT_IMAGE:-viscount:local}"
# Set by Compose itself.
FROM_COMPOSE = {"COMPOSE_PROJECT_NAME"}
# Read by Compose itself.
FOR_COMPOSE = {"COMPOSE_PROFILES"}


# --- what the code reads --------------------------------------------------------------------------------------------


def rust_text():
    """The program's code, without its tests."""
    for folder in CODE:
        for where, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in sorted(names):
                if name.endswith(".rs") and name not in ("tests.rs", "testing.rs"):
                    with open(os.path.join(where, name), encoding="utf-8") as file:
                        yield file.read().split("#[cfg(test)]\nmod tests")[0]


def known_to(code):
    """Environment variables."""
    variables = set()
    for text in code:
        variables.update(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', text))
        if '"GATEWAY_UPSTREAM_{}"' in text:
            variables.update(f"GATEWAY_UPSTREAM_{name}" for name in upstreams())
    return variables


def upstreams():
    """Services that the gateway has a name for."""
    with open(os.path.join(ROOT, "gateway/src/routes/service.rs"), encoding="utf-8") as file:
        return [name.upper() for name in re.findall(r'Service::\w+ => "(\w+)"', file.read())]


# --- the rules ------------------------------------------------------------------------------------------------------


def check_service(name, service, variables):
    """One container."""
    ours = service.get("image") == OUR_IMAGE
    image, _, tag = service.get("image", "").partition("@")[0].rpartition(":")
    once = service.get("restart") == "no"
    if not ours:
        if image not in OTHERS:
            yield f"{name}: {image or 'no image'} is not in the table of check.py"
        if not re.search(r"\d+\.\d+", tag):
            yield f"{name}: the image is not pinned to a version"
    allowed = variables if ours else OTHERS.get(image, set())
    for variable in service.get("environment") or {}:
        if variable not in allowed:
            yield f"{name}: nobody reads {variable}"
    health = service.get("healthcheck") or {}
    if "test" not in health:
        excused = health.get("disable") == "true" and (once or image in CANNOT_ASK)
        if not excused:
            yield f"{name}: no health check"
    elif ours and health["test"][:3] != ["CMD", "viscount", "health"]:
        yield f"{name}: the health check is not viscount's own"
    if "mem_limit" not in service:
        yield f"{name}: no limit of memory"
    if service.get("restart") not in ("unless-stopped", "no"):
        yield f"{name}: no restart policy"
    for banned in ("container_name", "privileged", "network_mode", "pid"):
        if banned in service:
            yield f"{name}: {banned} is not wanted here"
    for port in service.get("ports") or []:
        match = re.fullmatch(r"\$\{BIND_ADDRESS:-127\.0\.0\.1\}:\$\{\w+_PORT:-(\d+)\}:(\d+)", port)
        if not match:
            yield f"{name}: {port} does not open where BIND_ADDRESS and a variable say, on loopback by default"
        elif int(match[1]) < 1024:
            yield f"{name}: {port} is a privileged port"
        if "deploy" in service:
            yield f"{name}: replicas cannot share a port of this machine"
    if ours and service.get("command", [""])[0] == "serve" and not once:
        yield from check_serving(name, service)


# Where each part listens, and the variable that would change it.
PARTS = {
    "identity": "8088",
    "coordination": "8081",
    "catalog": "8082",
    "inventory": "8083",
    "orders": "8084",
    "payments": "8087",
    "simulator": "8089",
    "gateway": "8080",
}


def check_serving(name, service):
    """A part is asked at the port where it listens."""
    part = service["command"][1]
    if part != name:
        yield f"{name}: serves {part}"
    asked = service.get("healthcheck", {}).get("test", [""])[-1]
    if asked != f"http://127.0.0.1:{PARTS.get(part)}":
        yield f"{name}: {part} does not listen at {asked}"


def check_links(services, volumes):
    """What one container says of others."""
    for name, service in services.items():
        for other, terms in (service.get("depends_on") or {}).items():
            condition = (terms or {}).get("condition")
            if other not in services:
                yield f"{name}: depends on {other}, which is not there"
                continue
            ended = services[other].get("restart") == "no"
            if (condition == "service_completed_successfully") != ended:
                yield f"{name}: waits for {condition} of {other}"
            if condition == "service_healthy" and "test" not in (services[other].get("healthcheck") or {}):
                yield f"{name}: waits for the health of {other}, which has no check"
            hidden = set(services[other].get("profiles") or []) - set(service.get("profiles") or [])
            if hidden and (terms or {}).get("required") != "false":
                yield f"{name}: needs {other}, which may be of a profile that is off"
        for mount in service.get("volumes") or []:
            source = mount.split(":")[0]
            if source.startswith("."):
                if not os.path.exists(os.path.join(HERE, source)):
                    yield f"{name}: {source} is not there"
                if not mount.endswith(":ro"):
                    yield f"{name}: {source} is mounted for writing"
            elif source not in volumes:
                yield f"{name}: no volume is called {source}"
        for variable, value in (service.get("environment") or {}).items():
            for host, port in re.findall(r"(?:^|//|@|,|\$\{COMPOSE_PROJECT_NAME:-viscount\}-)([a-z]+)(?:-\d)?:(\d+)", value):
                if host in ("localhost", "postgres", "redpanda", "otel"):
                    continue
                if PARTS.get(host) != port:
                    yield f"{name}: {variable} says {host}:{port}, where nobody listens"


def check_variables(raw, example):
    """.env.example and what is interpolated are the same list."""
    used = set(re.findall(r"\$\{([A-Z_]+)", raw)) - FROM_COMPOSE
    listed = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) - FOR_COMPOSE
    for variable in sorted(used - listed):
        yield f".env.example does not have {variable}"
    for variable in sorted(listed - used):
        yield f".env.example has {variable}, which nothing uses"
    for variable, value in re.findall(r"^(\w*PASSWORD\w*|\w*SECRET\w*)=(.+)$", example, re.MULTILINE):
        yield f".env.example holds a value for {variable}: {len(value)} characters too many"


def check_scraping(prometheus, services):
    """Prometheus asks where somebody listens."""
    asked = set()
    for job in prometheus["scrape_configs"]:
        for lookup in job.get("dns_sd_configs") or []:
            for name in lookup["names"]:
                asked.add(name)
                if name not in services:
                    yield f"prometheus: {name} is not there"
                elif name in PARTS and lookup["port"] != PARTS[name]:
                    yield f"prometheus: {name} does not listen at {lookup['port']}"
    for name in sorted(set(PARTS) - asked):
        yield f"prometheus: nobody asks {name}"


def check_dockerfile(text, toolchain, variables):
    """The image's compiler is the project's, its bases are pinned, what it sets is read, and it does not run as root."""
    channel = re.search(r'channel = "([\d.]+)"', toolchain)[1]
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    if not bases[0].startswith(f"rust:{channel}-"):
        yield f"Dockerfile: {bases[0]}, but rust-toolchain.toml says {channel}"
    for base in bases:
        if not re.search(r":\S*\d", base):
            yield f"Dockerfile: {base} is not pinned"
    for line in re.findall(r"^ENV ((?:.*\\\n)*.*)", text, re.MULTILINE):
        for variable in re.findall(r"(\w+)=", line):
            if variable not in variables:
                yield f"Dockerfile: nobody reads {variable}"
    for wanted in ("USER 10001", "HEALTHCHECK", "STOPSIGNAL"):
        if not re.search(f"^{wanted}", text, re.MULTILINE):
            yield f"Dockerfile: no {wanted}"


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def violations():
    """One line each."""
    variables = known_to(rust_text())
    raw = read("compose/compose.yaml")
    compose = Yaml.read(raw)
    services = compose["services"]
    for name, service in services.items():
        yield from check_service(name, service, variables)
    yield from check_links(services, compose["volumes"])
    yield from check_variables(raw, read("compose/.env.example"))
    yield from check_scraping(Yaml.read(read("compose/prometheus/prometheus.yml")), services)
    yield from check_dockerfile(read("Dockerfile"), read("rust-toolchain.toml"), variables)


# --- the check itself -----------------------------------------------------------------------------------------------


class Reading(unittest.TestCase):
    """The reader of YAML."""

    def test_maps_lists_texts_and_comments(self):
        text = 'a: 1 # one\nb:\n  - x\n  - "y, # z"\n  - k: v\n    l: [m, "n, o"]\nc:\n- d\n"e": http://f:1/#g\nh:\n'
        wanted = {
            "a": "1",
            "b": ["x", "y, # z", {"k": "v", "l": ["m", "n, o"]}],
            "c": ["d"],
            "e": "http://f:1/#g",
            "h": "",
        }
        self.assertEqual(Yaml.read(text), wanted)

    def test_anchors_and_merges(self):
        text = "x: &x\n  a: 1\n  b: 2\ny:\n  <<: *x\n  b: 3\n  c: &c\n    d: 4\n  e: *c\n"
        self.assertEqual(Yaml.read(text)["y"], {"a": "1", "b": "3", "c": {"d": "4"}, "e": {"d": "4"}})

    def test_what_it_does_not_know_it_refuses(self):
        for text in ("a: >\n  b\n", "a: 1\na: 2\n", "a: *nothing\n", "a: {b: c}\n", "a:\n\t- b\n", "a: 1\n   b: 2\n"):
            with self.assertRaises(Unreadable, msg=text):
                Yaml.read(text)

    def test_it_reads_these_files_as_others_do(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("PyYAML is not here to compare with")

        def text(value):
            if isinstance(value, dict):
                return {str(key): text(inner) for key, inner in value.items()}
            if isinstance(value, list):
                return [text(inner) for inner in value]
            return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

        files = ["compose.yaml", "prometheus/prometheus.yml", "otel-collector/config.yaml"]
        files += [f"grafana/provisioning/{name}/{name}.yaml" for name in ("datasources", "dashboards")]
        for file in files:
            content = read(f"compose/{file}")
            self.assertEqual(Yaml.read(content), text(yaml.safe_load(content)), file)


class Rules(unittest.TestCase):
    """Each rule, on what breaks it."""

    GOOD = {
        "image": OUR_IMAGE,
        "command": ["serve", "orders"],
        "restart": "unless-stopped",
        "mem_limit": "1g",
        "environment": {"KAFKA_BROKERS": "redpanda:9092"},
        "healthcheck": {"test": ["CMD", "viscount", "health", "http://127.0.0.1:8084"]},
    }

    def found(self, **changes):
        service = {key: value for key, value in {**self.GOOD, **changes}.items() if value is not None}
        return list(check_service("orders", service, {"KAFKA_BROKERS"}))

    def test_what_is_as_it_should_be_passes(self):
        self.assertEqual(self.found(), [])

    def test_what_is_missing_is_found(self):
        self.assertEqual(self.found(environment={"KAFKA_BROKER": ""}), ["orders: nobody reads KAFKA_BROKER"])
        for key in ("mem_limit", "restart"):
            self.assertEqual(len(self.found(**{key: None})), 1, key)
        self.assertIn("orders: no health check", self.found(healthcheck=None))
        self.assertIn("orders: no health check", self.found(healthcheck={"disable": "true"}))
        self.assertEqual(len(self.found(container_name="orders")), 1)

    def test_an_image_is_pinned_and_known(self):
        other = {"command": [], "environment": {}, "healthcheck": {"test": ["CMD", "x"]}}
        self.assertEqual(self.found(image="postgres:18.6-trixie", **other), [])
        for image in ("postgres:latest", "postgres", "postgres:18", "example/postgres:1.2"):
            self.assertTrue(self.found(image=image, **other), image)

    def test_a_part_is_asked_where_it_listens(self):
        wrong = {"test": ["CMD", "viscount", "health", "http://127.0.0.1:8083"]}
        self.assertEqual(self.found(healthcheck=wrong), ["orders: orders does not listen at http://127.0.0.1:8083"])

    def test_doors_open_on_loopback(self):
        self.assertEqual(self.found(ports=["${BIND_ADDRESS:-127.0.0.1}:${ORDERS_PORT:-8084}:8084"]), [])
        for port in ("8084:8084", "0.0.0.0:8084:8084", "${BIND_ADDRESS:-127.0.0.1}:${ORDERS_PORT:-80}:8084"):
            self.assertEqual(len(self.found(ports=[port])), 1, port)

    def test_links_lead_somewhere(self):
        waits = {"a": {"depends_on": {"b": {"condition": "service_healthy"}}}}
        self.assertEqual(list(check_links(waits, {})), ["a: depends on b, which is not there"])
        waits["b"] = {"profiles": ["dev"], "healthcheck": {"test": ["CMD"]}}
        self.assertEqual(list(check_links(waits, {})), ["a: needs b, which may be of a profile that is off"])
        says = {"a": {"environment": {"URL": "http://orders:8083", "LIST": "${COMPOSE_PROJECT_NAME:-viscount}-orders-2:1"}}}
        self.assertEqual(len(list(check_links(says, {}))), 2)
        self.assertEqual(len(list(check_links({"a": {"volumes": ["cellar:/x", "./nowhere:/y:ro"]}}, {}))), 2)

    def test_variables_are_listed_and_secrets_are_empty(self):
        self.assertEqual(list(check_variables("${A:-1} ${B}", "A=1\nB=\n")), [])
        self.assertEqual(len(list(check_variables("${A}", "B=\nC_PASSWORD=x\n"))), 4)

    def test_the_code_is_read(self):
        variables = known_to(rust_text())
        self.assertLessEqual({"DATABASE_URL", "GATEWAY_UPSTREAM_ORDERS", "KAFKA_BROKERS", "RUST_LOG"}, variables)
        self.assertNotIn("GATEWAY_UPSTREAM_SIMULATOR", variables)

    def test_the_image_follows_the_toolchain(self):
        good = "FROM rust:1.2.3-slim AS b\nFROM debian:12\nENV A=1 \\\n    B=2\nUSER 10001\nHEALTHCHECK CMD\nSTOPSIGNAL SIGTERM\n"
        channel = 'channel = "1.2.3"'
        self.assertEqual(list(check_dockerfile(good, channel, {"A", "B"})), [])
        self.assertEqual(list(check_dockerfile(good, channel, {"A"})), ["Dockerfile: nobody reads B"])
        self.assertEqual(len(list(check_dockerfile(good, 'channel = "1.2.4"', {"A", "B"}))), 1)
        self.assertEqual(len(list(check_dockerfile(good.replace("debian:12", "debian"), channel, {"A", "B"}))), 1)


if __name__ == "__main__":
    if sys.argv[1:] == ["--test"]:
        unittest.main(argv=[sys.argv[0]])
    broken = list(violations())
    for line in broken:
        print(line)
    print(f"compose: {len(broken)} violations")
    sys.exit(1 if broken else 0)
