"""The dashboard against Grafana's own description of one: the Foundation SDK (PyPI), made by Grafana from its schema, reads it and writes it back without losing a word."""
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "build" / "grafana"
BACK = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard
print(JSONEncoder().encode(dashboard.Dashboard.from_json(json.load(open(sys.argv[1])))))
"""
# Grafana keeps the query of a variable once more for its list of variables; the SDK does not know that copy.
UNKNOWN = {"definition"}


@pytest.fixture(scope="module")
def read_back():
    if not (LIBRARY / "grafana_foundation_sdk").exists():
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(LIBRARY), "grafana-foundation-sdk"], capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            pytest.skip("grafana-foundation-sdk cannot be installed here: " + done.stderr[-200:])

    def run(path):
        done = subprocess.run([sys.executable, "-c", BACK, str(path)], env={"PYTHONPATH": str(LIBRARY)}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run


def differences(ours, theirs, where=""):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name in theirs:
                yield from differences(value, theirs[name], where + "/" + name)
            elif value is not None and name not in UNKNOWN:
                yield where + "/" + name + " is unknown"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            yield from differences(a, b, "%s/%d" % (where, i))
    elif ours != theirs:
        yield "%s: %r becomes %r" % (where, ours, theirs)


def test_grafana_reads_the_dashboard_whole(read_back):
    path = ROOT / "deploy/grafana/tallyd.json"
    assert list(differences(json.loads(path.read_text()), read_back(path))) == []


def test_a_word_that_grafana_does_not_know_is_found(read_back, tmp_path):
    board = json.loads((ROOT / "deploy/grafana/tallyd.json").read_text())
    board["panels"][0]["targetss"] = []
    (tmp_path / "wrong.json").write_text(json.dumps(board))
    assert list(differences(board, read_back(tmp_path / "wrong.json"))) == ["/panels/0/targetss is unknown"]


def test_panels_do_not_overlap():
    board = json.loads((ROOT / "deploy/grafana/tallyd.json").read_text())
    taken = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"], panel["title"]
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
