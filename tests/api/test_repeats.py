"""A create whose answer was lost is sent again by MLflow's client, byte for byte: it is done once. One whose answer arrived was meant twice."""

import contextlib
import json
import os
import signal
import time

import harness
import psycopg2
import pytest
from rest import Rest, connect, now_ms, post_bytes, read_answer, reset, send_and_read, sql, unique

API = "/api/2.0/mlflow/"


def experiment(client):
    name = unique("e")
    return "experiments/create", {"name": name}, lambda a: a["experiment_id"], lambda: client.server.api("GET", f"experiments/get-by-name?experiment_name={name}").status == 200, 1


def run(client):
    e = client.experiment()
    found = lambda: len(client.post("runs/search", {"experiment_ids": [e]}).get("runs", []))  # noqa: E731
    return "runs/create", {"experiment_id": e, "start_time": now_ms(), "run_name": "r", "tags": [{"key": "a", "value": "b"}]}, lambda a: a["run"]["info"]["run_id"], found, None


def version(client):
    model = client.model()
    found = lambda: len(client.get(f"model-versions/search?filter=name%3D'{model}'").get("model_versions", []))  # noqa: E731
    return "model-versions/create", {"name": model, "source": "gs://bucket/x"}, lambda a: a["model_version"]["version"], found, None


def model(client):
    name = unique("m")
    return "registered-models/create", {"name": name}, lambda a: a["registered_model"]["name"], lambda: client.server.api("GET", f"registered-models/get?name={name}").status == 200, 1


def logged(client):
    e = client.experiment()
    found = lambda: len(client.post("logged-models/search", {"experiment_ids": [e]}).get("models", []))  # noqa: E731
    return "logged-models", {"experiment_id": e, "name": "m"}, lambda a: a["model"]["info"]["model_id"], found, None


CREATES = [experiment, run, version, model, logged]
NAMED = (experiment, model)  # a second one of that name is refused


@pytest.fixture(params=CREATES, ids=lambda c: c.__name__)
def kind(request):
    return request.param


@pytest.fixture(params=CREATES, ids=lambda c: c.__name__)
def create(request, client):
    """(path, body, id of an answer, how many there are, ...)"""
    path, body, id_of, count, _ = request.param(client)
    return API + path, body, id_of, count, request.param


def cut(server, *requests):
    """Sends requests, each on a connection that is reset when the request has surely been read and is not yet answered: a lock holds up its commit."""
    with contextlib.closing(psycopg2.connect(server.database)) as connection, connection.cursor() as cursor:
        cursor.execute("lock table repeats in share row exclusive mode")
        for number, data in enumerate(requests, 1):
            s = connect(server)
            s.sendall(data)
            assert harness.await_true(lambda n=number: waiting(server) >= min(n, 1)), server.text()[-2000:]
            reset(s)
        connection.commit()
    assert harness.await_true(lambda: waiting(server) == 0)


def waiting(server):
    return sql(server.database, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query !~ 'run_jobs'")[0][0]


def test_a_create_cut_off_before_its_answer_is_done_once(tallyd, create):
    path, body, id_of, count, _ = create
    data = post_bytes(path, body)
    cut(tallyd, data)
    assert harness.await_true(count), "a request that was sent whole is carried out"
    for _ in range(3):
        cut(tallyd, data)
    status, _, answer = send_and_read(tallyd, data)
    assert status == 200, answer
    assert id_of(json.loads(answer))
    assert count() == 1


def test_repeats_sent_while_the_first_is_under_way_are_done_once(tallyd, create):
    path, body, id_of, count, _ = create
    data = post_bytes(path, body)
    cut(tallyd, *[data] * 6)
    status, _, answer = send_and_read(tallyd, data)
    assert status == 200, answer
    assert id_of(json.loads(answer)) and count() == 1


@pytest.mark.parametrize("how", ["same connection", "new connection", "closed by the server"])
def test_an_equal_call_after_the_answer_was_read_is_a_new_one(tallyd, create, how):
    path, body, id_of, count, kind = create
    data = post_bytes(path, body, ["Connection: close"] if how == "closed by the server" else [])
    ids = []
    with connect(tallyd) as s:
        for _ in range(8):
            if how == "same connection":
                s.sendall(data)
                status, _, answer = read_answer(s)
            else:
                status, _, answer = send_and_read(tallyd, data)
            if kind in NAMED and ids:
                assert (status, json.loads(answer)["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
            else:
                assert status == 200, answer
                ids.append(id_of(json.loads(answer)))
    assert len(set(ids)) == (1 if kind in NAMED else 8) and count() == len(ids)


def test_an_equal_call_to_another_worker_is_a_new_one(start_tallyd, database):
    """Many connections at once, so that both workers take part; each answer is read before the next call of that connection."""
    server = start_tallyd("--workers", 2, database=database)
    data = post_bytes(API + "runs/create", {"experiment_id": "0", "start_time": 5, "run_name": "r"})
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(connect(server)) for _ in range(16)]
        ids = []
        for _ in range(4):
            for s in lines:
                s.sendall(data)
                status, _, answer = read_answer(s)
                assert status == 200
                ids.append(json.loads(answer)["run"]["info"]["run_id"])
    assert len(set(ids)) == 64


def at_once(server, data, n, lost=0, other=None):
    """Answers of n equal requests that were all sent before the first was answered, each second one to the other server. The first `lost` of them are reset before that."""
    with contextlib.closing(psycopg2.connect(server.database)) as connection, connection.cursor() as cursor, contextlib.ExitStack() as stack:
        cursor.execute("lock table repeats in share row exclusive mode")
        lines = [stack.enter_context(connect(other if other and i % 2 else server)) for i in range(n)]
        for number, s in enumerate(lines):
            s.sendall(data)
            assert harness.await_true(lambda: waiting(server) >= 1), server.text()[-2000:]
            if number < lost:
                reset(s)
        connection.commit()
        return [read_answer(s) for s in lines[lost:]]


@pytest.mark.parametrize("workers", [1, 2])
def test_equal_calls_at_the_same_time_are_as_many_as_they_are(start_tallyd, database, kind, workers):
    """Autologging creates the runs of a parameter search on eight connections, byte for byte the same."""
    server = start_tallyd("--workers", workers, database=database)
    path, body, id_of, count, _ = kind(Rest(server))
    answers = at_once(server, post_bytes(API + path, body), 8)
    ids = [id_of(json.loads(answer)) for status, _, answer in answers if status == 200]
    refused = [json.loads(answer)["error_code"] for status, _, answer in answers if status != 200]
    if kind in NAMED:
        assert len(ids) == 1 and refused == ["RESOURCE_ALREADY_EXISTS"] * 7
    else:
        assert len(set(ids)) == 8 and not refused
    assert count() == len(ids)


def test_equal_calls_to_two_servers_at_the_same_time_are_as_many_as_they_are(start_tallyd, database, kind):
    one, two = start_tallyd("--workers", 2, database=database), start_tallyd("--workers", 1, database=database)
    path, body, id_of, count, _ = kind(Rest(one))
    for _ in range(3):
        before = count()
        answers = at_once(one, post_bytes(API + path, body), 8, other=two)
        ids = [id_of(json.loads(answer)) for status, _, answer in answers if status == 200]
        assert {status for status, _, _ in answers} <= {200, 400} and len(ids) + sum("RESOURCE_ALREADY_EXISTS" in str(answer) for _, _, answer in answers) == 8
        assert len(set(ids)) == len(ids) == (8 if kind not in NAMED else 0 if before else 1)
        assert count() == (before or 0) + len(ids)


def test_of_equal_calls_at_the_same_time_one_repeats_the_lost_one(tallyd, client):
    path, body, id_of, count, _ = run(client)
    answers = at_once(tallyd, post_bytes(API + path, body), 5, lost=1)
    assert len({id_of(json.loads(answer)) for status, _, answer in answers if status == 200}) == 4
    assert count() == 4


def test_a_create_lost_with_its_worker_is_repeated_at_once(start_tallyd, database):
    server = start_tallyd("--workers", 2, database=database)
    path, body, id_of, count, _ = run(Rest(server))
    data = post_bytes(API + path, body)
    with contextlib.closing(psycopg2.connect(server.database)) as connection, connection.cursor() as cursor, connect(server) as s:
        cursor.execute("lock table repeats in share row exclusive mode")
        s.sendall(data)
        assert harness.await_true(lambda: waiting(server) >= 1)
        before = server.named("[wrk ")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        connection.commit()
    assert harness.await_true(lambda: len(set(server.named("[wrk ")) - set(before)) == 2 and server.answers())
    began = time.monotonic()
    assert send_and_read(server, data)[0] == 200
    assert time.monotonic() - began < 10
    assert count() == 1


def test_a_lost_answer_after_honest_calls_is_still_done_once(tallyd, client):
    path, body, id_of, count, _ = run(client)
    data = post_bytes(API + path, body)
    for _ in range(3):
        assert send_and_read(tallyd, data)[0] == 200
    cut(tallyd, data)
    assert harness.await_true(lambda: count() == 4)
    assert send_and_read(tallyd, data)[0] == 200
    assert count() == 4
    assert send_and_read(tallyd, data)[0] == 200
    assert count() == 5


def test_a_repeat_to_another_server_is_done_once(start_tallyd, database):
    one, two = start_tallyd(database=database), start_tallyd(database=database)
    data = post_bytes(API + "runs/create", {"experiment_id": "0", "start_time": 5, "run_name": "r"})
    cut(one, data)
    assert harness.await_true(lambda: sql(database, "select count(*) from runs")[0][0] == 1)
    assert send_and_read(two, data)[0] == 200
    assert sql(database, "select count(*) from runs")[0][0] == 1


def test_another_body_is_another_create(tallyd, client):
    path, body, id_of, count, _ = run(client)
    cut(tallyd, post_bytes(API + path, body))
    assert harness.await_true(count)
    assert send_and_read(tallyd, post_bytes(API + path, {**body, "start_time": body["start_time"] + 1}))[0] == 200
    assert count() == 2


def test_an_idempotency_key_replays_answered_and_unanswered_creates(tallyd, create):
    path, body, id_of, count, _ = create
    key = [f"Idempotency-Key: {unique('key')}"]
    cut(tallyd, post_bytes(path, body, key))
    assert harness.await_true(count)
    ids = []
    for _ in range(3):
        status, _, answer = send_and_read(tallyd, post_bytes(path, body, key))
        assert status == 200, answer
        ids.append(id_of(json.loads(answer)))
    assert len(set(ids)) == 1 and count() == 1


def test_deleting_a_run_forgets_how_it_was_made(tallyd, client):
    path, body, id_of, count, _ = run(client)
    key = [f"Idempotency-Key: {unique('key')}"]
    first = id_of(json.loads(send_and_read(tallyd, post_bytes(API + path, body, key))[2]))
    assert sql(tallyd.database, "select count(*) from repeats where object = %s", f"run:{first}")[0][0] == 1
    client.post("runs/delete", {"run_id": first})
    assert sql(tallyd.database, "select count(*) from repeats where object = %s", f"run:{first}")[0][0] == 0
    second = id_of(json.loads(send_and_read(tallyd, post_bytes(API + path, body, key))[2]))
    assert second != first


def test_deleting_a_model_lets_its_name_be_taken_again(tallyd, client):
    name = unique("m")
    data = post_bytes(API + "registered-models/create", {"name": name})
    cut(tallyd, data)
    assert harness.await_true(lambda: tallyd.api("GET", f"registered-models/get?name={name}").status == 200)
    client.call("DELETE", "registered-models/delete", {"name": name})
    assert send_and_read(tallyd, data)[0] == 200


def test_a_refused_create_leaves_no_row(tallyd, client):
    name = unique("e")
    client.experiment(name)
    before = sql(tallyd.database, "select count(*) from repeats where object = ''")
    assert client.refused("POST", "experiments/create", {"name": name, "tags": []})[0] == 400
    assert client.refused("POST", "runs/create", {"experiment_id": "999999", "start_time": 1})[0] in (400, 404)
    assert sql(tallyd.database, "select count(*) from repeats where object = ''") == before


@contextlib.contextmanager
def writes_held(server):
    """What is sent to this server in the meantime waits in its queue: each of its write lanes waits for a row that is locked here."""
    client = Rest(server)
    runs = [client.run() for _ in range(6)]
    assert harness.await_true(lambda: sql(server.database, "select count(*) from repeats where answered_us is null")[0][0] == 0), "nothing of theirs is left to write"
    with contextlib.closing(psycopg2.connect(server.database)) as connection, connection.cursor() as cursor, contextlib.ExitStack() as stack:
        cursor.execute("select from runs where run_id = any(%s) for update", (runs,))
        stuck = 0
        for run_id in runs:
            s = stack.enter_context(connect(server))
            s.sendall(post_bytes(API + "runs/update", {"run_id": run_id, "status": "RUNNING"}))
            if not harness.await_true(lambda n=stuck: waiting(server) > n, 1):
                break
            stuck += 1
        assert 0 < stuck < len(runs), "every lane is taken, and one more waits behind them"
        yield
        connection.commit()


def test_a_create_that_waits_while_its_equal_is_answered_is_done_once(start_tallyd, database, kind):
    one, two = start_tallyd(database=database), start_tallyd("--workers", 1, database=database)
    path, body, id_of, count, _ = kind(Rest(one))
    data = post_bytes(API + path, body)
    with connect(two) as s, connect(two) as other:
        with writes_held(two):
            s.sendall(data)
            for _ in range(3):  # read after it, so that it surely has been read
                other.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert read_answer(other)[0] == 200
            # Longer than anybody's threads are apart: somebody lost patience.
            patience = time.monotonic() + 1.1
            assert harness.await_true(lambda: time.monotonic() > patience)
            status, _, answer = send_and_read(one, data)
            assert status == 200, answer
            assert harness.await_true(lambda: sql(database, "select count(*) from repeats where object <> '' and answered_us is null")[0][0] == 0)
        status, _, second = read_answer(s)
    assert status == 200, second
    assert id_of(json.loads(second)) == id_of(json.loads(answer))
    assert count() == 1
    status, _, third = send_and_read(two, data)
    if kind in NAMED:
        assert (status, json.loads(third)["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    else:
        assert status == 200 and id_of(json.loads(third)) != id_of(json.loads(answer)) and count() == 2


def test_rows_of_answered_creates_are_dropped_in_time(start_tallyd, database):
    server = start_tallyd(database=database)
    client = Rest(server)
    data = post_bytes(API + "runs/create", {"experiment_id": "0", "start_time": 5})
    answered, lost = client.run(), unique("key")
    send_and_read(server, data.replace(b"\r\n", f"\r\nIdempotency-Key: {lost}\r\n".encode(), 1))
    assert harness.await_true(lambda: sql(database, "select count(*) from repeats where object = %s and answered_us is not null", f"run:{answered}")[0][0] == 1)
    sql(database, "update repeats set created_at = created_at - interval '3 minutes'")
    assert harness.await_true(lambda: sql(database, "select count(*) from repeats")[0][0] == 1, 20)
    sql(database, "update repeats set created_at = created_at - interval '8 minutes'")
    assert harness.await_true(lambda: sql(database, "select count(*) from repeats")[0][0] == 0, 20)
