"""What a request costs, counted and not timed: statements that reach PostgreSQL, and instructions of parsing (4,500 a point when this was written) and printing (1,840).
A change that adds a round trip fails here."""

import pathlib
import re
import shutil
import subprocess
import time

import harness
import pytest
from rest import Rest, now_ms, sql, together

TIMES = 5
# Statements of the background and of what follows the answer: the pages of other workers told, old rows forgotten, points moved on.
BACKGROUND = re.compile(r"run_jobs|log_apply|repeat_answered|runs_experiments|notify|listen|statement_timeout|vacuum|search_path")
STATEMENT = re.compile(r"LOG:  (?:execute ([^:]*)|statement): ([^\n]*)")


@pytest.fixture(scope="module")
def server():
    """A server of one worker on a cluster that logs each statement."""
    cluster = harness.Postgres(log_statement="all")
    server = harness.Tallyd("--workers", 1, database=cluster.database())
    try:
        server.cluster = cluster
        yield server.start()
    finally:
        server.close()
        cluster.close()


def foreground(log, since):
    """Names of statements logged since that byte, but for the background's."""
    text = log.read_bytes()[since:].decode(errors="replace")
    return [f"{name or 'statement'}: {sql[:60]}" for name, sql in STATEMENT.findall(text) if not BACKGROUND.search(f"{name} {sql}")]


def calls_of(client):
    run = client.run()
    start = now_ms()
    return {
        "log-metric": (1, lambda i: client.post("runs/log-metric", {"run_id": run, "key": "m", "value": i, "timestamp": start + i, "step": i})),
        "log-batch of 100 known metrics": (1, lambda i: client.batch(run, [("m", k, start + i, 1000 * i + k) for k in range(100)])),
        "log-batch of new names": (2, lambda i: client.batch(run, [(f"new{i}", i, start, i)], [(f"p{i}", "1")], [(f"t{i}", "1")])),
        "log-param": (2, lambda i: client.post("runs/log-parameter", {"run_id": run, "key": f"param{i}", "value": "1"})),
        "set-tag": (1, lambda i: client.post("runs/set-tag", {"run_id": run, "key": "tag", "value": str(i)})),
        "get run": (1, lambda i: client.get(f"runs/get?run_id={run}")),
        "search": (3, lambda i: client.post("runs/search", {"experiment_ids": ["0"], "filter": "metrics.m > 0 and params.p1 = '1'", "order_by": ["metrics.m ASC"], "max_results": i + 1})),
        "search without a filter": (2, lambda i: client.post("runs/search", {"experiment_ids": ["0"], "max_results": i + 1})),
        "create run": (1, lambda i: client.run()),
        "update run": (1, lambda i: client.post("runs/update", {"run_id": run, "status": "FINISHED", "end_time": start + i})),
        "metric history": (1, lambda i: client.get(f"metrics/get-history?run_id={run}&metric_key=m&max_results={i + 1}")),
        "chart": (1, lambda i: harness.request("POST", f"{client.server.url}/api/2.0/tallyd/metrics/chart", {"run_ids": [run], "metric_key": "m", "buckets": i + 1})),
        "get experiment": (1, lambda i: client.get("experiments/get?experiment_id=0")),
    }


def test_no_call_sends_more_statements_than_it_did(server):
    client = Rest(server)
    log = server.cluster.folder / "log"
    too_many = {}
    for name, (allowed, call) in calls_of(client).items():
        for i in range(1, 4):  # names and plans are known afterwards
            call(i)
        assert harness.await_true(lambda: not rows_of_log(server), 10)
        since = log.stat().st_size
        for i in range(10, 10 + TIMES):
            call(i)
        seen = foreground(log, since)
        if not 0 < len(seen) <= allowed * TIMES:
            too_many[name] = (allowed * TIMES, seen)
    assert not too_many


def rows_of_log(server):
    """Points that are not yet moved on."""
    return sql(server.database, "select count(*) from metric_log")[0][0]


def test_calls_at_once_share_transactions(server):
    """Group commit: what comes while a batch is under way is the next batch."""
    client = Rest(server)
    run = client.run()
    client.post("runs/log-metric", {"run_id": run, "key": "m", "value": 0, "timestamp": 2, "step": 0})
    count = lambda: int(re.search(r"^tallyd_database_batches_total (\d+)", harness.request("GET", f"{server.url}/metrics").body.decode(), re.M).group(1))
    before = count()
    together(32, lambda i: [client.post("runs/log-metric", {"run_id": run, "key": "m", "value": n, "timestamp": 1, "step": 100 * i + n}) for n in range(20)])
    assert count() - before <= 640
    assert len(client.history(run, "m")) == 641


def instructions(program, mode, times, folder):
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", str(program), mode, str(times)], capture_output=True, text=True, timeout=300)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert done.returncode == 0 and found, done.stderr[-1000:]
    return int(found.group(1))


@pytest.mark.parametrize("mode, most", (("parse", 6000), ("print", 3000)))
def test_instructions_of_a_thousand_points(mode, most, tmp_path):
    program = harness.ROOT / "build/gcc/unit/cost_cli"
    if not shutil.which("valgrind"):
        pytest.skip("no valgrind here")
    if not (harness.ROOT / "build/gcc/app/engine/bind.o").exists():
        pytest.skip("only the sanitized binary was built")
    subprocess.run(["make", "-s", "build/gcc/unit/cost_cli"], cwd=harness.ROOT, check=True, capture_output=True)
    each = (instructions(program, mode, 12, tmp_path) - instructions(program, mode, 2, tmp_path)) / 10 / 1000
    assert each <= most, f"{each:.0f} instructions a point"
