"""Runs the case folders of tests/cases/search against any server.

A case is a folder: `input` the filter, `order_by` one key a line (optional),
`expected` run names a line, or `error CODE`. A case
with a file `beyond` is in our language only and is not sent to the real server.
"""

import json
import pathlib
import uuid

import pytest
from data import Api, fill, search

CASES = pathlib.Path(__file__).resolve().parents[2] / "cases" / "search"
FOLDERS = sorted(p.parent for p in CASES.glob("*/input"))


@pytest.fixture(scope="module")
def servers(pair):
    rows = json.loads((CASES / "runs.json").read_text(encoding="utf-8"))
    made = []
    for url in pair:
        if url:
            api = Api(url)
            made.append((api, *fill(api, rows, "cases-" + uuid.uuid4().hex[:8])))
        else:
            made.append(None)
    return made


@pytest.mark.parametrize("side", ["real", "ours"])
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_case(servers, folder, side):
    server = servers[0 if side == "real" else 1]
    if server is None or (side == "real" and (folder / "beyond").exists()):
        pytest.skip("not for this server")
    order = (folder / "order_by").read_text(encoding="utf-8").splitlines() if (folder / "order_by").exists() else ["start_time ASC"]
    found, message = search(*server, (folder / "input").read_text(encoding="utf-8").removesuffix("\n"), order)
    expected = (folder / "expected").read_text(encoding="utf-8").splitlines()
    if expected and expected[0].startswith("error "):
        assert isinstance(found, str), f"found {found} instead of an error"
        assert found.split()[-1] == expected[0].split()[1], message
    else:
        assert found == expected, message
