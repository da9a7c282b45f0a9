"""X-Request-Id in every reply, and the same name in the log's lines about that request."""
import concurrent.futures
import json
import re

import harness
import pytest
import requests


def test_each_reply_has_a_name_of_its_own(tallyd):
    def ask(i):
        return requests.get(tallyd.url + ["/health", "/version", "/nowhere", "/api/2.0/mlflow/experiments/get?experiment_id=0", "/"][i % 5], timeout=30).headers["X-Request-Id"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = list(pool.map(ask, range(200)))
    assert len(set(names)) == 200 and all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", n) for n in names)


@pytest.mark.parametrize("name", ["a", "9f2c1d7e-1b2a-4c3d-8e9f-000000000001", "Root=1-67891233-abcdef012345678912345678", "x" * 64])
def test_a_plain_name_of_the_client_is_kept(tallyd, name):
    assert requests.get(tallyd.url + "/health", headers={"X-Request-Id": name}, timeout=30).headers["X-Request-Id"] == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "<script>", 'a"b', "ü".encode(), "a\tb", "a,b"])
def test_any_other_is_replaced(tallyd, name):
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", requests.get(tallyd.url + "/health", headers={"X-Request-Id": name}, timeout=30).headers["X-Request-Id"])


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_log_names_the_request(start_tallyd, database, form):
    server = start_tallyd("--log-format", form, "--log-level", "debug", database=database)
    got = server.api("GET", "experiments/get?experiment_id=0&secret=hidden", headers={"X-Request-Id": "find-me"})
    assert got.status == 200 and got.headers["X-Request-Id"] == "find-me"
    missing = server.api("GET", "experiments/get?experiment_id=77")
    assert missing.status == 404
    assert harness.await_true(lambda: "find-me" in server.text() and missing.headers["X-Request-Id"] in server.text(), 10), server.text()
    assert "hidden" not in server.text()
    if form == "json":
        lines = [json.loads(line) for line in server.text().splitlines() if line.startswith("{")]
        line = next(x for x in lines if x.get("request") == "find-me")
        assert line["level"] == "debug" and re.fullmatch(r"GET /api/2.0/mlflow/experiments/get 200 [0-9.]+ ms 127\.0\.0\.1", line["message"])
    else:
        assert re.search(r"debug worker \d: GET /api/2\.0/mlflow/experiments/get 200 [0-9.]+ ms 127\.0\.0\.1 \[find-me\]", server.text())
