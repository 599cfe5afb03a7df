"""Writes the dashboards of this folder from their descriptions in boards/.

    python3 compose/grafana/dashboards.py            writes dashboards/*.json
    python3 compose/grafana/dashboards.py --check    says which of them are not what would be written

Nobody edits the JSON: Grafana reads it, and this writes it.
"""

import os
import sys

from boards import EVERY

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dashboards")


def written():
    """File names, and what belongs into them."""
    return {f"{board.name}.json": board.json() for board in EVERY}


def stale():
    """The files that are missing, too many, or something else than what would be written."""
    wanted, found = written(), {}
    for name in os.listdir(HERE):
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            found[name] = file.read()
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        for name in stale():
            print(f"{name} is not what dashboards.py writes")
        sys.exit(1 if stale() else 0)
    for name in stale():
        path = os.path.join(HERE, name)
        if name in written():
            with open(path, "w", encoding="utf-8") as file:
                file.write(written()[name])
        else:
            os.remove(path)
        print(name)
