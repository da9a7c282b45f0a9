"""Long: everything breaks while clients write; then all is read back. CHAOS_SECONDS (120) sets how long the storm lasts, CHAOS_SEED its order."""

import json
import os
import pathlib
import random
import signal
import threading
import time

import chaos
import harness
import pytest
from rest import batch_body, connect, post_bytes, read_answer, send_and_read

SECONDS = int(os.environ.get("CHAOS_SECONDS", "120"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.fixture
def cluster():
    made = harness.Postgres()
    yield made
    made.close()


@pytest.fixture
def server(cluster, start_tallyd):
    yield start_tallyd("--workers", 2, database=cluster.database())
    if not cluster.running:
        cluster.start()


def test_nothing_is_lost_doubled_or_torn_in_a_storm(cluster, server):
    storm = chaos.Storm(server, cluster, writers=8, seed=SEED)
    faults = ["kill_worker", "kill_backend", "stop_postgres", "restart_postgres", "freeze_postgres", "make_read_only"]
    dice = random.Random(SEED)
    storm.start()
    slowest = {}
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for fault in dice.sample(faults, len(faults)):
                getattr(storm, fault)()
                slowest[fault] = max(slowest.get(fault, 0), round(storm.progress(20), 2))
    finally:
        storm.stop()
    print(storm.check(), "seconds to 20 more acknowledged writes:", slowest)


def test_back_within_two_seconds_of_postgres(cluster, server):
    """The longest gap a patient client sees is the outage and two seconds."""
    storm = chaos.Storm(server, cluster, writers=4, seed=SEED)
    storm.start()
    gaps = []
    try:
        for _ in range(5):
            cluster.stop("immediate")
            storm.expect_away()
            cluster.start()
            begun = time.monotonic()
            assert harness.await_true(lambda: server.api("GET", "experiments/get?experiment_id=0").status == 200, 10, 0.01)
            gaps.append(time.monotonic() - begun)
            storm.progress(20)
    finally:
        storm.stop()
    storm.check()
    assert max(gaps) < 2, gaps


@pytest.mark.parametrize("round_", range(3))
def test_sigterm_under_load_loses_nothing_and_exits_0(cluster, start_tallyd, round_):
    database = cluster.database()
    server = start_tallyd("--workers", 2, database=database)
    storm = chaos.Storm(server, cluster, writers=8, seed=round_)
    storm.start()
    try:
        for writer in storm.writers:
            writer.patient = False
        assert server.stop(signal.SIGTERM) == 0
    finally:
        storm.stop()
    again = start_tallyd("--workers", 2, database=database)
    storm.server = again
    storm.check()


def memory_kb(server):
    sizes = []
    for pid in server.named("[wrk "):
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        sizes += [int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:")]
    return max(sizes)


def mixed(server, count):
    """Many kinds of requests, right and wrong ones, on one connection."""
    run = server.api("POST", "runs/create", {"experiment_id": "0", "start_time": 1, "run_name": str(random.random())}).json()["run"]["info"]["run_id"]
    api = "/api/2.0/mlflow/"
    with connect(server) as s:
        for n in range(count):
            kind = n % 10
            if kind < 4:
                data = post_bytes(api + "runs/log-batch", batch_body(run, [(f"m{n % 7}", n, n, n)], [], [("t", str(n))]))
            elif kind == 4:
                data = post_bytes(api + "runs/search", {"experiment_ids": ["0"], "max_results": 20, "filter": f"metrics.m1 > {n}"})
            elif kind == 5:
                data = post_bytes(api + "runs/create", {"experiment_id": "0", "start_time": n})
            elif kind == 6:
                data = post_bytes(api + "runs/log-batch", {"run_id": run, "metrics": [{}] * 50})
            elif kind == 7:
                data = post_bytes(api + "experiments/create", {"name": "Default"})
            elif kind == 8:
                data = f"GET {api}metrics/get-history?run_id={run}&metric_key=m1&max_results=100 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
            else:
                data = f"GET {api}runs/get?run_id={'x' * (n % 40)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
            s.sendall(data)
            status, _, body = read_answer(s)
            assert status < 500, (data[:300], status, body[:300])


def in_threads(count, work):
    errors = []

    def one():
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def test_memory_stays_after_100000_mixed_requests(server):
    in_threads(8, lambda: mixed(server, 1000))
    before = memory_kb(server)
    in_threads(8, lambda: mixed(server, 12_500))
    assert memory_kb(server) - before < 64 << 10


def test_memory_comes_back_after_large_requests(server):
    path = "/api/2.0/mlflow/runs/log-batch"
    bodies = [b'{"run_id":"x","metrics":[' + b"{}," * 1_000_000 + b"{}]}", b'{"run_id":"' + b"x" * (15 << 20) + b'"}', json.dumps({"run_id": "x", "params": [{"key": str(i), "value": "v" * 1000} for i in range(10_000)]}).encode()]
    send_and_read(server, post_bytes(path, bodies[2]))
    before = memory_kb(server)
    in_threads(4, lambda: [send_and_read(server, post_bytes(path, b)) for b in bodies * 3])
    assert harness.await_true(lambda: memory_kb(server) - before < 64 << 10, 30), memory_kb(server) - before
