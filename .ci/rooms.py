"""Who may know whom: checks the dependencies between the rooms (top-level folders) of this workspace.

    cargo metadata --format-version 1 --no-deps | python3 .ci/rooms.py
    python3 .ci/rooms.py --test      the check finds what it should

Development and build dependencies count like any other: a test that needs another service's code is a sign that the
boundary between them is in the wrong place.
"""

import json
import os
import sys
import unittest

# Room -> rooms it may depend on. `services` stands for any one service; one service never knows another.
MAY_KNOW = {
    "contracts": set(),
    "actors": set(),
    "chassis": {"contracts", "actors"},
    "services": {"contracts", "actors", "chassis"},
    "gateway": {"contracts", "chassis"},
    "loadtest": {"contracts"},
    "chaos": {"contracts"},
    "bench": {"contracts", "actors", "chassis", "services"},
    # It joins the services' pure cores in one process; chaos, beside it, sees them from outside.
    "simulation": {"contracts", "chassis", "services"},
    "launcher": {"contracts", "actors", "chassis", "services", "gateway"},
}


def room_of(folder, root):
    """The room of a package's folder; the root package is the launcher."""
    relative = os.path.relpath(folder, root)
    return "launcher" if relative == "." else relative.split(os.sep)[0]


def violations(metadata):
    """One line for each dependency that the table does not allow."""
    root = metadata["workspace_root"]
    found = []
    for package in sorted(metadata["packages"], key=lambda package: package["name"]):
        room = room_of(os.path.dirname(package["manifest_path"]), root)
        if room not in MAY_KNOW:
            found.append(f"{package['name']}: {room}/ is no room of this house; say in .ci/rooms.py whom it may know")
            continue
        for dependency in package["dependencies"]:
            if dependency.get("path") is None:
                continue
            other = room_of(dependency["path"], root)
            if other not in MAY_KNOW[room]:
                kind = f" ({dependency['kind']} dependency)" if dependency.get("kind") else ""
                allowed = ", ".join(sorted(MAY_KNOW[room])) or "nothing of this workspace"
                found.append(f"{package['name']} knows {dependency['name']}{kind}, but {room} may know {allowed}")
    return found


class Rooms(unittest.TestCase):
    """The check itself, on small made-up workspaces."""

    @staticmethod
    def check(folder, *dependencies, kind=None):
        def dependency(path):
            return {"name": path.split("/")[-1], "path": f"/house/{path}", "kind": kind}

        package = {
            "name": folder.split("/")[-1] or "viscount",
            "manifest_path": os.path.normpath(f"/house/{folder}/Cargo.toml"),
            "dependencies": [dependency(path) for path in dependencies] + [{"name": "serde", "kind": None}],
        }
        return violations({"workspace_root": "/house", "packages": [package]})

    def test_what_the_table_allows_passes(self):
        self.assertEqual(self.check("contracts"), [])
        self.assertEqual(self.check("chassis", "contracts", "actors"), [])
        self.assertEqual(self.check("services/orders", "contracts", "actors", "chassis"), [])
        self.assertEqual(self.check("", "chassis", "services/orders", "services/payments", "gateway"), [])

    def test_a_service_that_knows_another_is_found(self):
        self.assertEqual(
            self.check("services/orders", "chassis", "services/payments"),
            ["orders knows payments, but services may know actors, chassis, contracts"],
        )

    def test_a_test_dependency_is_found_too(self):
        [line] = self.check("actors", "chassis", kind="dev")
        self.assertIn("chassis (dev dependency), but actors may know nothing of this workspace", line)

    def test_the_outside_speaks_over_the_wire(self):
        for outside in ("loadtest", "chaos"):
            self.assertEqual(self.check(outside, "contracts"), [])
            self.assertEqual(len(self.check(outside, "chassis", "services/orders")), 2)
        self.assertEqual(len(self.check("gateway", "actors")), 1)

    def test_the_simulation_joins_the_cores_and_nothing_else(self):
        self.assertEqual(self.check("simulation", "contracts", "chassis", "services/orders", "services/payments"), [])
        self.assertEqual(len(self.check("simulation", "actors", "gateway", "chaos")), 3)

    def test_a_new_room_must_be_entered_in_the_table(self):
        [line] = self.check("cellar")
        self.assertIn("cellar/ is no room of this house", line)


if __name__ == "__main__":
    if sys.argv[1:] == ["--test"]:
        unittest.main(argv=[sys.argv[0]])
    broken = violations(json.load(sys.stdin))
    for line in broken:
        print(line)
    print(f"rooms: {len(broken)} violations")
    sys.exit(1 if broken else 0)
