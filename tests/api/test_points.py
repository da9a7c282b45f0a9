"""Points on their way from metric_log into metrics and latest_metrics: no reader sees less than was answered, nothing is lost or doubled, whatever ends in between."""

import re
import signal
import threading

import psycopg2
import pytest
import requests

import harness
import rest


def connect(database):
    connection = psycopg2.connect(database)
    connection.autocommit = True
    return connection.cursor()


def one(cursor, sql, *args):
    cursor.execute(sql, args)
    return cursor.fetchone()[0]


@pytest.fixture
def own(database, start_tallyd):
    server = start_tallyd("--workers", 3, database=database)
    return rest.Rest(server), connect(database), server


def each_answer_is_seen(writer, reader):
    """By every kind of reader at once; each call is a connection of its own, so writers and readers are different workers."""
    experiment = writer.experiment()
    run = writer.run(experiment)
    for i in range(60):
        writer.post("runs/log-metric", {"run_id": run, "key": "m", "value": i, "timestamp": i, "step": i})
        if i % 4 == 0:
            assert reader.run_data(run)["metrics"] == {"m": i}
        elif i % 4 == 1:
            assert len(reader.history(run, "m")) == i + 1
        elif i % 4 == 2:
            found = reader.post("runs/search", {"experiment_ids": [experiment], "filter": f"metrics.m >= {i}"})
            assert [r["info"]["run_id"] for r in found.get("runs", [])] == [run]
        else:
            table = harness.request("POST", reader.server.url + "/api/2.0/tallyd/runs/table", {"experiment_ids": [experiment], "columns": ["metrics.m"]}).json()
            assert [r["metrics"]["m"] for r in table["runs"]] == [i]


def test_every_reader_sees_what_was_answered(own):
    client, _, _ = own
    each_answer_is_seen(client, client)


def test_readers_of_another_server_see_what_was_answered(database, start_tallyd):
    each_answer_is_seen(*(rest.Rest(start_tallyd("--workers", 1, database=database)) for _ in range(2)))


def test_much_is_moved_in_parts(own):
    client, database, _ = own
    run = client.run()
    client.batch(run, metrics=[("m", 0, 0, 0)])
    assert client.run_data(run)["metrics"] == {"m": 0}
    database.execute("insert into metric_log (runs, requests, keys, steps, timestamps, values) select array[max(m.run)], array_agg(1), array_agg(m.key_id), array_agg(1000 * b + i), array_agg(i), array_agg(b)"
                     " from metrics m, generate_series(1, 10) b, generate_series(1, 1000) i group by b order by b desc")
    database.execute("select batches, points, more from log_apply(0, 2500)")
    assert database.fetchone() == (3, 3000, True)
    database.execute("select batches, points, more from log_apply(0, 7000)")
    assert database.fetchone() == (7, 7000, False)
    # The server's own moves take 2,048 points at once: a request that reads waits for all of them.
    database.execute("insert into metric_log (runs, requests, keys, steps, timestamps, values) select array[max(m.run)], array_agg(1), array_agg(m.key_id), array_agg(100000 * b + i), array_agg(i), array_agg(b)"
                     " from (select run, key_id from metrics limit 1) m, generate_series(1, 20) b, generate_series(1, 1000) i group by b order by b")
    client.batch(run, metrics=[("m", 5, 3000000, 3000000)])
    assert client.run_data(run)["metrics"] == {"m": 5}
    assert one(database, "select count(*) from metric_log") == 0
    assert one(database, "select count(*) from metrics") == 1 + 10000 + 20000 + 1


def test_what_a_server_leaves_is_moved_by_another(database, start_tallyd):
    server, other = (start_tallyd("--workers", 1, database=database) for _ in range(2))
    client, cursor = rest.Rest(other), connect(database)
    run = client.run()
    client.batch(run, metrics=[("m", 1, 1, 1)])
    assert harness.await_true(lambda: one(cursor, "select count(*) from metric_log") == 0)
    server.stop(signal.SIGKILL)
    cursor.execute("insert into metric_log (runs, requests, keys, steps, timestamps, values) select array[r.id], array[1], array[k.id], array[2::bigint], array[2::bigint], array[2.0] from runs r, keys k where k.key = 'm'")
    # Nobody asks; the silence of the other server is enough.
    assert harness.await_true(lambda: one(cursor, "select count(*) from metric_log") == 0, 30)
    assert client.run_data(run)["metrics"] == {"m": 2}


def test_points_move_by_themselves(own):
    client, database, _ = own
    run = client.run()
    client.batch(run, metrics=[("a", 1.5, 10, 0), ("a", 2.5, 11, 1), ("a", 2.5, 11, 1)])
    harness.await_true(lambda: one(database, "select count(*) from metrics") == 2)
    assert one(database, "select value from latest_metrics") == 2.5
    harness.await_true(lambda: one(database, "select count(*) from metric_log") == 0)
    # and the room they took is given back
    harness.await_true(lambda: one(database, "select pg_relation_size('metric_log')") == 0)


def test_a_server_that_is_killed_leaves_them_to_the_next(database, start_tallyd):
    cursor = connect(database)
    server = start_tallyd("--workers", 2, database=database)
    client = rest.Rest(server)
    run = client.run()
    holder = psycopg2.connect(database)
    holder.cursor().execute("select pg_advisory_xact_lock(points_lock())")
    for first in range(0, 100, 20):
        client.batch(run, metrics=[("m", k, k, k) for k in range(first, first + 20)])
    assert one(cursor, "select count(*) from metrics") == 0
    moving = re.search(r"^tallyd_metric_points_moving (\d+)", harness.request("GET", server.url + "/metrics").body.decode(), re.M)
    assert int(moving.group(1)) >= 100
    server.stop(signal.SIGKILL)
    holder.close()
    assert one(cursor, "select count(*) from metric_log") > 0
    client = rest.Rest(start_tallyd("--workers", 2, database=database))
    assert client.run_data(run)["metrics"] == {"m": 99}
    assert len(client.history(run, "m")) == 100


def test_a_clean_end_moves_them(database, start_tallyd):
    server = start_tallyd(database=database)
    client = rest.Rest(server)
    run = client.run()
    client.batch(run, metrics=[("m", 1, 1, 1)])
    server.stop()
    assert one(connect(database), "select count(*) from metrics") == 1


def test_moved_twice_is_moved_once(own):
    """A move whose commit was lost is done again."""
    client, database, _ = own
    run = client.run()
    client.batch(run, metrics=[("m", float(k), k, k) for k in range(50)])
    assert len(client.history(run, "m")) == 50
    database.execute("insert into metric_log (runs, requests, keys, steps, timestamps, values)"
                     " select array[max(run)], array_agg(1), array_agg(key_id), array_agg(step), array_agg(timestamp), array_agg(value) from metrics")
    database.execute("select log_apply(0)")
    assert len(client.history(run, "m")) == 50


def test_points_that_are_there_already_do_not_keep_new_ones_out(own):
    client, database, _ = own
    run = client.run()
    client.batch(run, metrics=[("m", float(k), k, k) for k in range(5)])
    assert len(client.history(run, "m")) == 5
    client.batch(run, metrics=[("m", float(k), k, k) for k in (3, 4, 4, 5, 5)] + [("n", 1.0, 1, 1)] * 2 + [("n", "NaN", 2, 2), ("n", 0.0, 2, 2), ("n", "NaN", 2, 2)])
    assert [p[2] for p in client.history(run, "m")] == [0, 1, 2, 3, 4, 5]
    assert len(client.history(run, "n")) == 3
    assert client.run_data(run)["metrics"] == {"m": 5, "n": "NaN"}
    # Late ones are history only.
    client.batch(run, metrics=[("m", 9.0, 1, 1), ("n", 9.0, 1, 1)])
    assert client.run_data(run)["metrics"] == {"m": 5, "n": "NaN"}
    assert len(client.history(run, "m")) == 7


def test_what_a_worker_knows_of_runs_ends_with_their_state(database, start_tallyd):
    """A run that is logged to again is not looked up again; whoever deletes or restores it, the next call knows."""
    client, other = (rest.Rest(start_tallyd("--workers", 1, database=database)) for _ in range(2))
    cursor = connect(database)
    experiment = client.experiment()
    run = client.run(experiment)

    def log(i):
        return client.server.api("POST", "runs/log-metric", {"run_id": run, "key": "m", "value": i, "timestamp": i, "step": i}).status

    assert [log(1), log(2), log(3)] == [200] * 3
    assert one(cursor, "select count(*) from pg_stat_activity where application_name = 'tallyd' and query like 'insert into metric_log%%'") > 0
    other.post("runs/delete", {"run_id": run})
    assert log(4) == 400
    other.post("runs/restore", {"run_id": run})
    assert [log(5), log(6)] == [200] * 2
    other.post("experiments/delete", {"experiment_id": experiment})
    assert log(7) == 400
    other.post("experiments/restore", {"experiment_id": experiment})
    assert [log(8), log(9)] == [200] * 2
    # of those in between nothing, of the others each once
    assert [p[0] for p in client.history(run, "m")] == [1, 2, 3, 5, 6, 8, 9]
    # A deletion that is undone leaves everything as it was.
    with psycopg2.connect(database) as undone:
        undone.cursor().execute("update runs set lifecycle = 1 where run_id = %s", (run,))
        undone.rollback()
    assert log(10) == 200


def test_refused_requests_of_a_batch_leave_nothing(own):
    client, database, _ = own
    run, deleted = client.run(), client.run()
    client.post("runs/delete", {"run_id": deleted})
    holder = psycopg2.connect(database.connection.dsn)
    holder.cursor().execute("select 1 from runs where run_id = %s for update", (run,))
    # All of these wait behind a batch with a tag for the locked run, and so go as one.
    refused = []
    bodies = [{"run_id": r, "key": "m", "value": 1, "timestamp": 1} for r in (run, deleted, "0" * 32) for _ in range(3)]
    blocked = threading.Thread(target=client.post, args=("runs/set-tag", {"run_id": run, "key": "mlflow.runName", "value": "x"}))
    blocked.start()
    threads = [threading.Thread(target=lambda b=b: refused.append((b["run_id"], client.server.api("POST", "runs/log-metric", b).status))) for b in bodies]
    for t in threads:
        t.start()
    holder.rollback()
    for t in (blocked, *threads):
        t.join()
    assert sorted(refused) == sorted([(run, 200)] * 3 + [(deleted, 400)] * 3 + [("0" * 32, 404)] * 3)
    assert client.run_data(run)["metrics"] == {"m": 1}
    assert one(database, "select count(*) from latest_metrics") == 1


def test_deleting_and_restoring_while_points_are_on_their_way(own):
    client, database, _ = own
    experiment = client.experiment()
    run = client.run(experiment)
    client.batch(run, metrics=[("a", 1, 1, 1)])
    client.post("runs/delete", {"run_id": run})
    # Points that were committed before the run was deleted and are moved after it.
    database.execute("insert into metric_log (runs, requests, keys, steps, timestamps, values) select array[r.id], array[1], array[k.id], array[5::bigint], array[5::bigint], array[5.0] from runs r, keys k where r.run_id = %s and k.key = 'a'", (run,))
    database.execute("insert into keys (key) values ('later')")
    database.execute("insert into metric_log (runs, requests, keys, steps, timestamps, values) select array[r.id], array[1], array[k.id], array[5::bigint], array[5::bigint], array[5.0] from runs r, keys k where r.run_id = %s and k.key = 'later'", (run,))
    database.execute("select log_apply(0)")
    assert one(database, "select bool_and(deleted) from latest_metrics")
    search = {"experiment_ids": [experiment], "filter": "metrics.later = 5"}
    assert client.post("runs/search", search) == {}
    client.post("runs/restore", {"run_id": run})
    assert len(client.post("runs/search", search)["runs"]) == 1
    assert not one(database, "select bool_or(deleted) from latest_metrics")


def test_writers_wait_when_too_much_is_on_its_way(own):
    client, database, server = own
    run = client.run()
    holder = psycopg2.connect(database.connection.dsn)
    holder.cursor().execute("select pg_advisory_xact_lock(points_lock())")
    done = []

    def write(key):
        with requests.Session() as session:
            for i in range(0, 4500, 30):
                body = rest.batch_body(run, [(key, k, k, k) for k in range(i, i + 30)])
                assert session.post(f"{server.url}/api/2.0/mlflow/runs/log-batch", json=body).status_code == 200
                done.append(30)

    threads = [threading.Thread(target=write, args=(f"k{i}",)) for i in range(8)]
    for t in threads:
        t.start()
    harness.await_true(lambda: sum(done) >= 16384, 60)
    harness.await_true(lambda: one(database, "select count(*) from pg_stat_activity where wait_event = 'advisory'") > 0)
    # What was let through before the mark is on its way; nothing more.
    assert sum(done) < 24000
    holder.rollback()
    for t in threads:
        t.join()
    assert all(len(client.history(run, f"k{i}")) == 4500 for i in (0, 7))
    assert client.run_data(run)["metrics"] == {f"k{i}": 4499 for i in range(8)}


def test_dead_rows_that_a_long_report_keeps_are_not_read_again(own):
    client, database, _ = own
    report = psycopg2.connect(database.connection.dsn)
    report.set_session(isolation_level="REPEATABLE READ")
    report.cursor().execute("select count(*) from runs")
    run = client.run()
    for i in range(300):
        client.post("runs/log-metric", {"run_id": run, "key": "m", "value": i, "timestamp": i, "step": i})
    assert len(client.history(run, "m")) == 300
    last = one(database, "select last_value from pg_sequences where sequencename = 'metric_log_seq_seq'")
    database.execute("analyze metric_log")

    def buffers(after):
        database.execute("explain (analyze, buffers, format json) select 1 from metric_log where seq > %s", (after,))
        return database.fetchone()[0][0]["Plan"]["Shared Hit Blocks"]

    database.execute("set enable_seqscan = off")
    assert buffers(last) < 10 < 20 < buffers(0)
    report.close()


def test_long_series_are_sealed_as_they_come(own):
    client, database, _ = own
    run, other, deleted = client.run(), client.run(), client.run()
    long = [("long", k / 7, 1000 + k, k) for k in range(400)]
    short = [(f"short{k % 5}", float(k), k, k) for k in range(50)]
    client.batch(run, metrics=short[:25] + long[::-1] + short[25:])
    assert one(database, "select sum(points) from metric_chunks") == 400
    assert one(database, "select count(*) from metrics") == 50
    assert sorted(client.history(run, "long")) == [(s, t, v) for _, v, t, s in long]
    assert sorted(client.history(run, "short3")) == [(s, t, v) for k, v, t, s in short if k == "short3"]
    assert client.run_data(run)["metrics"] == {"long": 399 / 7, **{f"short{k}": 45.0 + k for k in range(5)}}
    # the same again, as a client repeats it, and some of it late, point by point
    client.batch(run, metrics=long)
    for k in (3, 399):
        client.post("runs/log-metric", {"run_id": run, "key": "long", "value": k / 7, "timestamp": 1000 + k, "step": k})
    assert len(client.history(run, "long")) == 400
    # beside others in one batch, one of them refused
    client.post("runs/delete", {"run_id": deleted})
    got = rest.together(8, lambda i: client.server.api("POST", "runs/log-batch", rest.batch_body((other, deleted)[i % 2], [("m", float(k), k, 1000 * i + k) for k in range(300)])).status)
    assert got == [200, 400] * 4
    assert len(client.history(other, "m")) == 1200 and client.history(deleted, "m") == []
    assert client.run_data(other)["metrics"] == {"m": 299.0}


def test_of_equal_latest_values_the_first_stays(own):
    """NaN counts as 0, as in MLflow; within a request, between requests, and in large ones."""
    client, _, _ = own
    fill = [("fill", 1.0, k, k) for k in range(40)]
    for more in ([], fill):
        run = client.run()
        client.batch(run, [("a", "NaN", 5, 5), ("a", 0.0, 5, 5), ("b", 0.0, 5, 5), ("b", "NaN", 5, 5), *more])
        client.batch(run, [("c", "NaN", 5, 5), *more])
        client.batch(run, [("c", 0.0, 5, 5), ("d", 0.0, 5, 5), *more])
        client.batch(run, [("d", "NaN", 5, 5), *more])
        data = client.run_data(run)["metrics"]
        assert {k: data[k] for k in "abcd"} == {"a": "NaN", "b": 0.0, "c": "NaN", "d": 0.0}
