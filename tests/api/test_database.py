"""The server and its database: how it connects, what it does while the database is away, and that what was acknowledged is there once."""

import os
import signal
import socket
import threading
import time

import psycopg2
import pytest
import harness
from harness import Tallyd, await_true
from writers import Writers, check, new_run, stored


@pytest.fixture(scope="module")
def cluster():
    """One that may be broken: over TCP and TLS, and by socket."""
    made = harness.Postgres(tcp=True)
    yield made
    made.close()


@pytest.fixture
def start(cluster):
    started = []

    def start_one(uri, *options):
        server = Tallyd("--workers", 2, *options, database=uri)
        started.append(server)
        return server.start()

    yield start_one
    if not cluster.running:
        cluster.start()
    for server in started:
        server.close()


def rows(uri, sql):
    with psycopg2.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def check_works(server):
    answer = server.api("GET", "experiments/get?experiment_id=0")
    assert answer.status == 200, (answer.status, answer.body, server.text()[-2000:])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_tcp_with_and_without_tls_by_name_and_number(cluster, start, host, sslmode):
    uri = cluster.database(host=host, sslmode=sslmode)
    server = start(uri)
    check_works(server)
    encrypted = rows(uri, "select s.ssl, a.client_addr from pg_stat_ssl s join pg_stat_activity a using (pid) where a.datname = current_database() and a.pid <> pg_backend_pid()")
    assert encrypted and all(ssl is (sslmode == "require") for ssl, _ in encrypted)
    assert all(address is not None for _, address in encrypted)


def test_socket_in_a_folder_with_a_colon_as_cloud_sql_has_it(cluster, start, tmp_path):
    folder = harness.open_folder("cloudsql-")
    name = folder / "project:region:instance"
    name.mkdir()
    name.chmod(0o755)
    (name / f".s.PGSQL.{cluster.port}").symlink_to(cluster.folder / f".s.PGSQL.{cluster.port}")
    cluster.database("cloud")
    server = start(f"postgresql://{harness.ROLE}@/cloud?host={name}&port={cluster.port}")
    check_works(server)


def test_connection_budget_is_kept(cluster, start):
    uri = cluster.database()
    server = start(uri, "--read-lanes", 1, "--write-lanes", 1)
    check_works(server)
    count = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
    assert await_true(lambda: rows(uri, count)[0][0] == 2 * 3), rows(uri, count)


def test_away_is_503_with_retry_after_and_passes(cluster, start):
    server = start(cluster.database())
    run = new_run(server)
    cluster.stop()
    begun = time.monotonic()
    answer = server.api("POST", "runs/set-tag", {"run_id": run, "key": "k", "value": "v"})
    took = time.monotonic() - begun
    assert answer.status == 503 and answer.headers["Retry-After"], (answer.status, answer.body)
    assert 1.5 < took < 8
    assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    # Short enough a pause is not noticed at all.
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append(server.api("POST", "runs/set-tag", {"run_id": run, "key": "k", "value": "w"}).status))
    thread.start()
    cluster.start()
    thread.join()
    assert waiting == [200]


def backends(cluster):
    done = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    if f.read().startswith(f"postgres: {harness.ROLE} ".encode()):
                        with open(f"/proc/{entry}/stat") as stat:
                            parent = int(stat.read().rsplit(")", 1)[1].split()[1])
                        done.append((int(entry), parent))
            except OSError:
                pass
    with open(cluster.folder / "data/postmaster.pid") as f:
        postmaster = int(f.readline())
    return [pid for pid, parent in done if parent == postmaster]


def test_nothing_acknowledged_is_lost_when_postgres_restarts_at_once(cluster, start):
    server = start(cluster.database())
    writers = Writers(server, [new_run(server) for _ in range(5)])
    try:
        for _ in range(3):
            writers.await_more(150)
            cluster.stop("immediate")
            cluster.start()
        writers.await_more(150)
    finally:
        writers.stop()
    check(writers)


def test_nothing_acknowledged_is_lost_when_backends_are_killed(cluster, start):
    server = start(cluster.database())
    writers = Writers(server, [new_run(server) for _ in range(5)])
    try:
        for _ in range(3):
            writers.await_more(150)
            assert await_true(lambda: backends(cluster))
            os.kill(backends(cluster)[0], signal.SIGKILL)
        writers.await_more(150)
    finally:
        writers.stop()
    check(writers)


def test_nothing_acknowledged_is_lost_when_workers_are_killed(cluster, start):
    server = start(cluster.database())
    writers = Writers(server, [new_run(server) for _ in range(5)])
    try:
        for round_ in range(4):
            writers.await_more(150)
            victims = server.named(f"[wrk {round_ % 2 + 1}]")
            assert victims
            os.kill(victims[0], signal.SIGKILL)
        writers.await_more(150)
    finally:
        writers.stop()
    check(writers)


def test_terminated_connections_are_not_noticed(cluster, start):
    uri = cluster.database()
    server = start(uri)
    writers = Writers(server, [new_run(server)])
    try:
        for _ in range(5):
            writers.await_more(60)
            rows(uri, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
        writers.await_more(60)
    finally:
        writers.stop()
    check(writers)


def test_drain_answers_what_was_sent(cluster, start):
    server = start(cluster.database())
    run = new_run(server)
    writers = Writers(server, [run])
    writers.await_more(200)
    assert server.stop() == 0
    writers.stop()
    acknowledged, writers.acknowledged = writers.acknowledged, []
    server.start()
    have = set(stored(server, run))
    assert {step for _, step in acknowledged} <= have


def test_connections_at_rest_do_not_hold_up_the_end(cluster, start_tallyd):
    # For an hour it would wait for clients that do not notice its end, if they might still lack an answer.
    server = start_tallyd(database=cluster.database(), env={"TALLYD_HTTP_LINGER_MS": "3600000"})
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(3)]
    for c in clients[:2]:
        c.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in c.recv(65536)
    server.process.terminate()
    assert server.process.wait(15) == 0
    for c in clients:
        assert c.recv(65536) == b""
        c.close()
