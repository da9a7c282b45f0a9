"""Requests that ask for far too much: answered soon, and nobody else waits for them."""

import json
import re
import subprocess
import time

import harness
import pytest
import rest

SOON = 10  # seconds; each of these took minutes, or gigabytes


def soon(server, path, body, status, message):
    start = time.monotonic()
    got = harness.request("POST", f"{server.url}/api/2.0/{path}", body, timeout=60)
    took = time.monotonic() - start
    assert got.status == status and re.search(message, got.json()["message"]), (got.status, got.body[:300])
    assert took < SOON, took


def pairs(n):
    return [{"key": f"k{i}", "value": ""} for i in [*range(n), 0]]


def test_a_hundred_thousand_tags_with_one_given_twice(tallyd):
    soon(tallyd, "mlflow/runs/create", {"experiment_id": "0", "tags": pairs(160_000)}, 400, "The tag 'k0' was given twice")


def test_a_hundred_thousand_params_of_a_logged_model_with_one_given_twice(tallyd):
    soon(tallyd, "mlflow/logged-models", {"experiment_id": "0", "params": pairs(160_000)}, 400, "The param 'k0' was given twice")


def test_a_document_of_too_many_values_is_refused(tallyd):
    soon(tallyd, "mlflow/runs/search", {"experiment_ids": ["0"] * 500_000}, 400, "more than 500000 values")


def test_too_many_datasets_are_not_searched_for(tallyd):
    soon(tallyd, "mlflow/logged-models/search", {"experiment_ids": ["0"], "datasets": [{"dataset_name": "a"}] * 100_000}, 400, "At most 100 datasets")


@pytest.mark.parametrize("more", [{"group_by": ["params.a"] * 101}, {"group_by": ["params.a"], "metrics": ["a"] * 1001}])
def test_runs_are_not_grouped_by_everything(tallyd, more):
    soon(tallyd, "tallyd/runs/groups", {"experiment_ids": ["0"], **more}, 400, "at most 100 names")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"^(a+)(a+)(a+)\3\2\1[0-9]$", "Back-references"),
        (r"(?b)\(a*\)\1", "Back-references"),
        (r"(?=.*(?=.*(?=.*b)))", "Lookaround"),
        (r"(?!a)", "Lookaround"),
        (r"(?<=a)b", "Lookaround"),
    ],
)
def test_a_regular_expression_that_may_take_years_is_refused(client, tallyd, pattern, message):
    """Two of them kept all other readers of a worker waiting until the statement's timeout."""
    run = client.run(client.experiment())
    client.batch(run, params=[("p", "a" * 5999 + "1")])
    soon(tallyd, "mlflow/runs/search", {"experiment_ids": [client.get(f"runs/get?run_id={run}")["run"]["info"]["experiment_id"]], "filter": f"params.p RLIKE '{pattern}'"}, 400, message)


@pytest.mark.parametrize(("pattern", "found"), [(r"^a\\1$", True), (r"a(?:\\)1", True), (r"^a\\\\1$", False), (r"\d$", True)])
def test_other_regular_expressions_find_what_they_say(client, pattern, found):
    experiment = client.experiment()
    client.batch(client.run(experiment), params=[("p", "a\\1")])
    got = client.post("runs/search", {"experiment_ids": [experiment], "filter": f"params.p RLIKE '{pattern}'"})
    assert bool(got.get("runs")) == found


def test_more_names_than_a_worker_remembers(start_tallyd, database):
    """The memory of names was emptied in the middle of an answer, which then had holes where names should stand."""
    server = start_tallyd("--workers", "1", database=database)
    client = rest.Rest(server)
    experiment = client.experiment()
    tags = {}
    for name in ("a", "b"):
        run = client.run(experiment, tags=[{"key": f"{name}{i}", "value": "x"} for i in range(120_000)])
        tags[run] = 120_000 + 1
    server.close()
    server = start_tallyd("--workers", "1", database=database)
    client = rest.Rest(server)
    client.get(f"runs/get?run_id={run}")
    answer = server.api("POST", "runs/search", {"experiment_ids": [experiment]}, timeout=60)
    assert answer.status == 200
    runs = json.loads(answer.body)["runs"]
    assert {r["info"]["run_id"]: len({t["key"] for t in r["data"]["tags"]}) for r in runs} == tags


def test_many_large_bodies_at_once_do_not_take_all_memory(start_tallyd, database):
    """A client that sends all but the last bytes of many requests, each within its limit."""
    server = start_tallyd("--workers", "1", "--body-limit", "1M", database=database, env={"TALLYD_HTTP_HELD_BYTES": str(8 << 20)})
    head = b"POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    small, large = b'{"experiment_ids":["0"],"x":"' + b"x" * 1000, b'{"x":"' + b"x" * 900_000
    held = []
    for _ in range(20):
        s = rest.connect(server)
        s.sendall(head % (len(large) + 2) + large)
        held.append(s)
    refused = []
    for s in held:
        s.settimeout(0.2)
        try:
            refused.append(s.recv(65536))
        except TimeoutError:
            pass
    assert 10 <= len(refused) <= 12, len(refused)
    assert all(r.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 1\r\n" in r and b"TEMPORARILY_UNAVAILABLE" in r for r in refused), refused[0]
    # Small ones go on, and large ones when there is room again.
    assert rest.send_and_read(server, head % (len(small) + 2) + small + b'"}')[0] == 200
    for s in held:
        s.close()
    assert harness.await_true(lambda: rest.send_and_read(server, head % (len(large) + 2) + large + b'"}')[0] == 200)


def test_too_few_files_are_said_at_the_start(database, tmp_path):
    done = subprocess.run(["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *harness.binary(), "serve", "--port", str(harness.free_port()), "--data-dir", str(tmp_path), "--database", database], capture_output=True, timeout=60, text=True)
    assert done.returncode == 1 and "the limit of open files is 64, at least 128 are needed" in done.stderr, done.stderr
