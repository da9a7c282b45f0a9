"""What outsiders do to the database while the server runs: locks, rights, places. Everything is answered, with what is true, and works again when the cause is gone."""

import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import threading
import time

import harness
import psycopg2
import pytest
from harness import await_true
from rest import connect, post_bytes, read_answer, reset, sql, together

API = "/api/2.0/mlflow/"
WAITING = "select count(*) from pg_locks where not granted"


@contextlib.contextmanager
def locked(uri, table):
    """An outsider's transaction that keeps everybody else from the table."""
    with contextlib.closing(psycopg2.connect(uri)) as connection:
        connection.cursor().execute(f"lock table {table} in access exclusive mode")
        yield
        connection.rollback()


def new_run(server):
    made = server.api("POST", "runs/create", {"experiment_id": "0", "start_time": 1})
    assert made.status == 200, made.body
    return made.json()["run"]["info"]["run_id"]


@pytest.mark.parametrize("leave", [reset, socket.socket.close])
def test_reads_of_clients_that_left_hold_up_nobody(start_tallyd, database, leave):
    server = start_tallyd("--workers", 1, "--read-lanes", 2, database=database)
    with locked(database, "runs"):
        clients = [connect(server) for _ in range(12)]
        for client in clients:
            client.sendall(post_bytes(API + "runs/search", {"experiment_ids": ["0"]}))
        assert await_true(lambda: sql(database, WAITING)[0][0] >= 2)
        answers = []
        # Its place is behind those that wait for the lock: it is not hit when they are canceled.
        behind = [threading.Thread(target=lambda: answers.append(server.api("GET", "experiments/get?experiment_id=0", timeout=60).status)) for _ in range(8)]
        for thread in behind:
            thread.start()
        for client in clients:
            leave(client)
        # The lock is given up after 20 s.
        for thread in behind:
            thread.join(15)
        assert answers == [200] * 8
        assert await_true(lambda: sql(database, WAITING)[0][0] == 0)
    assert "connection lost" not in server.text()


def test_a_slow_read_is_answered_after_its_clients_end(start_tallyd, database):
    """Closed on the sending side only: nothing is canceled."""
    server = start_tallyd("--workers", 1, database=database)
    with connect(server) as client:
        with locked(database, "runs"):
            client.sendall(post_bytes(API + "runs/search", {"experiment_ids": ["0"]}))
            client.shutdown(socket.SHUT_WR)
            # It is asked whether it is still there.
            data = client.recv(65536)
            assert data.startswith(b"HTTP/1.1 100 "), data
            assert await_true(lambda: sql(database, WAITING)[0][0] == 1)
        while got := client.recv(65536):
            data += got
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in data, data


def short_locks(uri):
    return uri + "&options=-c%20lock_timeout%3D400"


def test_a_lock_that_is_not_got_is_503(start_tallyd, database):
    server = start_tallyd("--workers", 1, database=short_locks(database))
    run = new_run(server)
    with locked(database, "runs"):
        for method, path, body in (
            ("GET", f"runs/get?run_id={run}", None),
            # Its statement cannot even be prepared.
            ("GET", f"metrics/get-history?run_id={run}&metric_key=m", None),
            ("POST", "runs/set-tag", {"run_id": run, "key": "k", "value": "v"}),
            ("POST", "runs/search", {"experiment_ids": ["0"]}),
            ("POST", "runs/delete", {"run_id": run}),
        ):
            answer = server.api(method, path, body)
            assert answer.status == 503 and answer.headers["Retry-After"], (path, answer.status, answer.body)
            assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert "does not exist" not in server.text()
    assert server.api("GET", f"metrics/get-history?run_id={run}&metric_key=m").status == 200
    assert server.api("POST", "runs/set-tag", {"run_id": run, "key": "k", "value": "v"}).status == 200


def test_locked_writes_are_not_tried_one_by_one_for_ever(start_tallyd, database):
    """Each attempt takes the lock's whole time; after the statement's time there is none more."""
    server = start_tallyd("--workers", 1, "--write-lanes", 1, "--statement-timeout-ms", 1000, database=short_locks(database))
    runs = [new_run(server) for _ in range(24)]
    with locked(database, "params"):
        # In halves down to each: 47 attempts of 0.4 s.
        begun = time.monotonic()
        statuses = together(24, lambda i: server.api("POST", "runs/log-parameter", {"run_id": runs[i], "key": "p", "value": "v"}).status)
        took = time.monotonic() - begun
    assert statuses == [503] * 24 and took < 8, (statuses, took)
    assert server.api("POST", "runs/log-parameter", {"run_id": runs[0], "key": "p", "value": "v"}).status == 200


@pytest.mark.parametrize(
    ("table", "path", "body"),
    [
        ("params", "runs/log-parameter", {"key": "p", "value": "v"}),
        ("params", "runs/log-batch", {"params": [{"key": "p", "value": "v"}]}),
        ("tags", "runs/set-tag", {"key": "t", "value": "v"}),
        ("runs", "runs/update", {"status": "FINISHED"}),
        ("runs", "runs/create", {"experiment_id": "0", "start_time": 7}),
        ("experiments", "experiments/create", {"name": "another"}),
    ],
)
def test_a_write_that_takes_too_long_is_503(start_tallyd, database, table, path, body):
    """A client does not repeat what was answered with 400."""
    server = start_tallyd("--workers", 1, "--statement-timeout-ms", 400, database=database)
    body = {"run_id": new_run(server), **body}
    with locked(database, table):
        answer = server.api("POST", path, body)
    assert answer.status == 503, answer.body
    assert server.api("POST", path, body).status == 200


def test_points_that_cannot_be_moved_in_time_are_503(start_tallyd, database):
    """Not the reader's fault: its own statement has not even begun."""
    server = start_tallyd("--workers", 1, "--statement-timeout-ms", 500, database=database)
    run = new_run(server)
    with locked(database, "metrics"):
        assert server.api("POST", "runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 1}).status == 200
        assert server.api("GET", f"metrics/get-history?run_id={run}&metric_key=m").status == 503
    assert len(server.api("GET", f"metrics/get-history?run_id={run}&metric_key=m").json()["metrics"]) == 1


def test_a_refusal_of_the_database_is_one_line_of_the_log(start_tallyd, database):
    """PostgreSQL's context is the text of a whole statement."""
    server = start_tallyd("--workers", 1, database=short_locks(database))
    run = new_run(server)
    with locked(database, "metrics"):
        assert server.api("POST", "runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 1}).status == 200
        assert server.api("GET", f"metrics/get-history?run_id={run}&metric_key=m").status == 503
        assert await_true(lambda: "points could not be moved" in server.text())
    lines = server.text().split("MLFLOW_TRACKING_URI", 1)[1].splitlines()[1:]
    assert all(re.match(r"\d{4}-", line) for line in lines), lines
    assert len(server.api("GET", f"metrics/get-history?run_id={run}&metric_key=m").json()["metrics"]) == 1


LANES = "pid <> pg_backend_pid() and datname = current_database() and application_name = 'tallyd'"


def test_a_database_that_was_read_only_is_written_again(start_tallyd, database):
    """Nobody has to end the sessions that began meanwhile. Until then what is there can be read."""
    server = start_tallyd("--workers", 1, database=database)
    run = new_run(server)
    name = sql(database, "select current_database()")[0][0]
    point = {"run_id": run, "key": "m", "value": 1, "timestamp": 1}
    sql(database, f'alter database "{name}" set default_transaction_read_only = on')
    sql(database, f"select pg_terminate_backend(pid) from pg_stat_activity where {LANES}")
    try:
        assert await_true(lambda: server.api("POST", "runs/log-metric", point).status == 503)
        for _ in range(3):
            assert server.api("GET", f"runs/get?run_id={run}").status == 200
            assert server.api("GET", f"metrics/get-history?run_id={run}&metric_key=m").status == 200
            assert server.api("POST", "runs/delete", {"run_id": run}).status == 503
    finally:
        sql(database, f'set transaction read write; alter database "{name}" reset default_transaction_read_only')
    assert await_true(lambda: server.api("POST", "runs/log-metric", point).status == 200)
    assert await_true(lambda: len(server.api("GET", f"metrics/get-history?run_id={run}&metric_key=m").json().get("metrics", [])) == 1)
    assert await_true(lambda: server.api("POST", "runs/delete", {"run_id": run}).status == 200)


def test_connections_that_do_not_last_are_not_made_anew_at_once(start_tallyd, database):
    server = start_tallyd("--workers", 1, database=database)
    run = new_run(server)
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        end = time.monotonic() + 4
        while time.monotonic() < end:
            cursor.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {LANES}")
    # Five connections; each attempt waits twice as long as the one before, up to 2 s.
    lost = server.text().count("connection lost")
    assert 5 <= lost < 60, lost
    assert await_true(lambda: server.api("POST", "runs/set-tag", {"run_id": run, "key": "k", "value": "v"}).status == 200, 5)


def patiently(server, *call):
    """The answer of a call that is repeated while a worker starts."""
    answers = []

    def worked():
        with contextlib.suppress(OSError, http.client.HTTPException):
            answers.append(server.api(*call))
        return answers and answers[-1].status == 200

    assert await_true(worked), [a.body for a in answers[-1:]]
    return answers[-1].json()


@pytest.mark.parametrize("how", ["restored", "empty"])
def test_a_database_that_was_put_in_the_place_of_the_old_one(start_tallyd, postgres, how):
    """Numbers of names and runs are remembered: in an earlier state of the database they are other names' and other runs'."""
    database, admin = postgres.database(), postgres.uri("postgres")
    name = database.split("/")[3].split("?")[0]

    def replace():
        with contextlib.closing(psycopg2.connect(admin)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(f'drop database "{name}" with (force)')
            cursor.execute(f'create database "{name}"' + (f' template "{name}_earlier"' if how == "restored" else ""))
        if how == "empty":
            assert harness.Tallyd(command="migrate", database=database).launch().process.wait(60) == 0

    server = start_tallyd("--workers", 1, database=database)
    server.stop()
    with contextlib.closing(psycopg2.connect(admin)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f'create database "{name}_earlier" template "{name}"')
    server.start()
    for key in ("a", "b"):
        run = patiently(server, "POST", "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
        patiently(server, "POST", "runs/log-metric", {"run_id": run, "key": key, "value": 1, "timestamp": 1})
    replace()
    # Another process has made the first run there, and has given the number of "a" to another name.
    sql(database, "insert into keys (key) values ('other'), ('another')")
    run = patiently(server, "POST", "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    patiently(server, "POST", "runs/log-metric", {"run_id": run, "key": "b", "value": 2, "timestamp": 1})
    data = patiently(server, "GET", f"runs/get?run_id={run}")["run"]["data"]
    assert [(m["key"], m["value"]) for m in data["metrics"]] == [("b", 2)]
    assert sql(database, "select k.key from latest_metrics l join keys k on k.id = l.key_id") == [("b",)]


def test_rights_that_are_taken_away_for_a_while_are_no_other_database(start_tallyd, postgres):
    """Nothing can be written; the worker goes on and answers what it can."""
    database = postgres.database()
    start_tallyd("--workers", 1, database=database).stop()
    sql(database, "create role guest login; grant all on all tables in schema public to guest; grant all on all sequences in schema public to guest")
    server = start_tallyd("--workers", 1, database=database.replace(f"{harness.ROLE}@", "guest@"))
    run = new_run(server)
    tag = {"run_id": run, "key": "k", "value": "v"}
    assert server.api("POST", "runs/set-tag", tag).status == 200
    worker = server.named("[wrk ")
    sql(database, "revoke select on keys from guest")
    sql(database, f"select pg_terminate_backend(pid) from pg_stat_activity where {LANES}")
    assert await_true(lambda: "permission denied for table keys" in server.text())
    assert await_true(lambda: server.api("GET", "experiments/get?experiment_id=0").status == 200)
    assert server.api("POST", "runs/set-tag", tag).status == 503
    sql(database, "grant select on keys to guest")
    assert await_true(lambda: server.api("POST", "runs/set-tag", tag).status == 200)
    assert server.named("[wrk ") == worker


def sockets(pid):
    found = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(os.readlink(fd))
    return {name for name in found if name.startswith("socket:")}


def test_a_cancel_that_comes_late_hits_nobody(start_tallyd):
    """The postmaster stands still while the sessions go on: the cancel arrives when another read is where the one was that it was meant for."""
    cluster = harness.Postgres()
    with contextlib.ExitStack() as ends:
        ends.callback(cluster.close)
        database = cluster.database()
        server = start_tallyd("--workers", 1, "--read-lanes", 1, database=database)
        worker, postmaster = server.named("[wrk ")[0], int((cluster.folder / "data/postmaster.pid").read_text().split()[0])
        ends.callback(os.kill, postmaster, signal.SIGCONT)
        first, second, watch = [ends.enter_context(contextlib.closing(psycopg2.connect(database))) for _ in range(3)]
        watch.autocommit = True

        def waits_for(table):
            with watch.cursor() as cursor:
                cursor.execute("select count(*) from pg_locks where not granted and relation = %s::regclass", (table,))
                return cursor.fetchone()[0] > 0

        first.cursor().execute("lock table runs in access exclusive mode")
        second.cursor().execute("lock table experiments in access exclusive mode")
        gone, behind = connect(server), ends.enter_context(connect(server))
        gone.sendall(post_bytes(API + "runs/search", {"experiment_ids": ["0"]}))
        assert await_true(lambda: waits_for("runs"))
        behind.sendall(b"GET " + API.encode() + b"experiments/get?experiment_id=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # Answered after both came in; all lanes are there.
        assert server.answers() and await_true(lambda: sql(database, f"select count(*) from pg_stat_activity where {LANES}")[0][0] == 4)
        before = sockets(worker)
        os.kill(postmaster, signal.SIGSTOP)
        reset(gone)
        assert await_true(lambda: sockets(worker) - before)
        first.rollback()
        assert await_true(lambda: waits_for("experiments"))
        os.kill(postmaster, signal.SIGCONT)
        # The read behind is canceled, and sent again.
        assert await_true(lambda: "canceling statement due to user request" in (cluster.folder / "log").read_text())
        assert await_true(lambda: waits_for("experiments"))
        second.rollback()
        assert read_answer(behind)[0] == 200
