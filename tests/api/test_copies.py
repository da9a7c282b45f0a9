"""Copies of runs as they were served (run-copies): a page shows every change that was answered, whoever made it, and copies are used at all."""

import contextlib
import os
import re
import signal
import threading
import time

import pytest

import harness
import psycopg2
import rest


def copied(server):
    return int(re.search(r"^tallyd_runs_copied_total (\d+)", harness.request("GET", server.url + "/metrics").body.decode(), re.M).group(1))


def page(client, experiment, **more):
    return client.post("runs/search", {"experiment_ids": [experiment], "max_results": 1000, **more}).get("runs", [])


def warm(client, experiment, **more):
    """Until every worker has copies: a new server waits some seconds to hear that it is alone."""
    until = time.monotonic() + 30
    streak = 0
    while streak < 12:
        before = copied(client.server)
        runs = page(client, experiment, **more)
        streak = streak + 1 if copied(client.server) == before + len(runs) else 0
        assert time.monotonic() < until, "no copies are used"
    return runs


@pytest.fixture(scope="module")
def warmed(tallyd):
    client = rest.Rest(tallyd)
    experiment = client.experiment()
    client.run(experiment)
    warm(client, experiment)
    return client


def info(run):
    return run["info"]


CHANGES = {
    "log-metric": lambda c, e, r: c.post("runs/log-metric", {"run_id": r, "key": "m", "value": 2, "timestamp": 2, "step": 2}),
    "log-metric by its old name of the run": lambda c, e, r: c.post("runs/log-metric", {"run_uuid": r, "key": "m", "value": 3, "timestamp": 2, "step": 2}),
    "log-batch of points": lambda c, e, r: c.batch(r, metrics=[("m", i, i, i) for i in range(3, 900)]),
    "log-batch of params": lambda c, e, r: c.batch(r, params=[("p2", "1")]),
    "log-batch of tags": lambda c, e, r: c.batch(r, tags=[("t", "2")]),
    "log-parameter": lambda c, e, r: c.post("runs/log-parameter", {"run_id": r, "key": "p3", "value": "1"}),
    "set-tag": lambda c, e, r: c.post("runs/set-tag", {"run_id": r, "key": "t", "value": "3"}),
    "delete-tag": lambda c, e, r: c.post("runs/delete-tag", {"run_id": r, "key": "t"}),
    "finish": lambda c, e, r: c.post("runs/update", {"run_id": r, "status": "FINISHED", "end_time": 5}),
    "rename": lambda c, e, r: c.post("runs/update", {"run_id": r, "run_name": "another"}),
    "rename by a tag": lambda c, e, r: c.post("runs/set-tag", {"run_id": r, "key": "mlflow.runName", "value": "by tag"}),
    "log-inputs": lambda c, e, r: c.post("runs/log-inputs", {"run_id": r, "datasets": [{"dataset": {"name": "d", "digest": "1", "source_type": "s", "source": "x"}}]}),
    "outputs": lambda c, e, r: c.post("runs/outputs", {"run_id": r, "models": [{"model_id": "m-1", "step": 1}]}),
    "log-model": lambda c, e, r: c.post("runs/log-model", {"run_id": r, "model_json": '{"artifact_path":"m","flavors":{},"utc_time_created":"x","run_id":"%s"}' % r}),
    "delete": lambda c, e, r: c.post("runs/delete", {"run_id": r}),
    "delete, restore": lambda c, e, r: [c.post(f"runs/{what}", {"run_id": r}) for what in ("delete", "restore")],
    "delete the experiment": lambda c, e, r: c.post("experiments/delete", {"experiment_id": e}),
    "delete and restore the experiment": lambda c, e, r: [c.post(f"experiments/{what}", {"experiment_id": e}) for what in ("delete", "restore")],
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_page_shows_each_change_at_once(warmed, what):
    client = warmed
    experiment = client.experiment()
    run = client.run(experiment)
    client.batch(run, metrics=[("m", 1, 1, 1)], params=[("p", "1")], tags=[("t", "1")])
    everything = {"run_view_type": "ALL"}
    warm(client, experiment, **everything)
    CHANGES[what](client, experiment, run)
    after = client.get(f"runs/get?run_id={run}")["run"]
    # Each call is a connection of its own: some meet each worker.
    for _ in range(4):
        found = page(client, experiment, **everything)
        assert [(info(r), r["data"], r["inputs"], r.get("outputs")) for r in found] == [(info(after), after["data"], after["inputs"], after.get("outputs"))]


def test_whoever_logs_finds_it_on_the_page_while_others_read_it(warmed):
    client = warmed
    experiment = client.experiment()
    runs = [client.run(experiment) for _ in range(8)]
    warm(client, experiment)
    over = threading.Event()

    def look():
        while not over.is_set():
            page(client, experiment)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        def log(i):
            for n in range(60):
                client.post("runs/log-metric", {"run_id": runs[i], "key": "m", "value": n, "timestamp": n, "step": n})
                shown = {info(r)["run_id"]: r["data"]["metrics"][0]["value"] for r in page(client, experiment) if "metrics" in r["data"]}
                assert shown[runs[i]] == n

        rest.together(8, log)
    finally:
        over.set()
        for reader in readers:
            reader.join()


def test_changes_through_another_server_are_shown_at_once(database, start_tallyd):
    client = rest.Rest(start_tallyd("--workers", 2, database=database))
    experiment = client.experiment()
    run = client.run(experiment)
    warm(client, experiment)
    other = rest.Rest(start_tallyd("--workers", 1, database=database))
    for n in range(20):
        other.post("runs/set-tag", {"run_id": run, "key": "n", "value": str(n)})
        for _ in range(3):
            assert {t["key"]: t["value"] for t in page(client, experiment)[0]["data"]["tags"]}["n"] == str(n)


def test_changes_through_a_server_that_has_no_connection_left_to_listen_are_shown_at_once(postgres, start_tallyd):
    database = postgres.database()
    client = rest.Rest(start_tallyd("--workers", 1, database=database))
    experiment = client.experiment()
    run = client.run(experiment)
    warm(client, experiment)
    name, sessions = rest.sql(database, "select datname, count(*) from pg_stat_activity where application_name = 'tallyd' and datname = current_database() group by 1")[0]
    rest.sql(database, "create role limited login; grant all on all tables in schema public to limited; grant all on all sequences in schema public to limited")
    rest.sql(database, f'alter database "{name}" connection limit {sessions + 4}')
    other = rest.Rest(start_tallyd("--workers", 1, "--read-lanes", 2, "--write-lanes", 2, database=database.replace(f"{harness.ROLE}@", "limited@")))
    for n in range(20):
        other.post("runs/set-tag", {"run_id": run, "key": "n", "value": str(n)})
        assert {t["key"]: t["value"] for t in page(client, experiment)[0]["data"]["tags"]}["n"] == str(n)


def test_what_another_server_left_is_shown_once_it_is_gone(database, start_tallyd):
    client = rest.Rest(start_tallyd("--workers", 2, database=database))
    experiment = client.experiment()
    runs = [client.run(experiment) for _ in range(3)]
    client.post("runs/log-metric", {"run_id": runs[0], "key": "m", "value": 1, "timestamp": 1, "step": 1})
    warm(client, experiment)
    for _ in range(4):
        assert not page(client, experiment, filter="metrics.m > 1")
    other = rest.Rest(start_tallyd("--workers", 1, database=database))
    other.post("runs/log-metric", {"run_id": runs[0], "key": "m", "value": 2, "timestamp": 2, "step": 2})
    other.post("runs/set-tag", {"run_id": runs[1], "key": "n", "value": "2"})
    other.server.stop()
    # Until copies are used again, and further.
    until, before = time.monotonic() + 30, copied(client.server)
    while copied(client.server) < before + 30:
        assert [info(r)["run_id"] for r in page(client, experiment, filter="metrics.m > 1")] == runs[:1]
        assert any(t["key"] == "n" for r in page(client, experiment) for t in r["data"]["tags"])
        assert time.monotonic() < until


def test_a_search_waits_for_all_sort_copies_however_many_lag_behind(database, start_tallyd):
    client = rest.Rest(start_tallyd("--workers", 1, database=database))
    experiment = client.experiment()
    client.batch(client.run(experiment), metrics=[("m", 1, 1, 1)])
    page(client, experiment)
    rest.sql(database, """
        with r as (
            insert into runs (run_id, experiment_id, run_rank, start_time, status, artifact_uri) select md5(i::text), %s, run_rank_of(md5(i::text)), i, 1, '' from generate_series(1, 11000) i
            returning id, experiment_id, run_rank, start_time
          )
        , u as (insert into unsettled (run, experiment_id) select id, experiment_id from r)
        insert into latest_metrics (run, key_id, experiment_id, value, search_value, step, timestamp, start_time, run_rank)
        select r.id, (select id from keys where key = 'm'), r.experiment_id, 3, 2, 1, 1, r.start_time, r.run_rank from r""", experiment)
    assert len(page(client, experiment, filter="metrics.m > 2.5", max_results=20000)) == 11000


def test_what_is_changed_past_the_server_is_shown_after_ten_seconds(database, start_tallyd):
    client = rest.Rest(start_tallyd("--workers", 1, database=database))
    experiment = client.experiment()
    client.run(experiment)
    warm(client, experiment)
    rest.sql(database, "update tags set value = 'by hand' where key_id = 1")
    assert harness.await_true(lambda: any(t["value"] == "by hand" for t in page(client, experiment)[0]["data"]["tags"]), 20)


def test_what_could_not_be_moved_is_shown_once_it_can(database, start_tallyd):
    """Meanwhile what is there is read; neither copies nor that all is settled may be made of it."""
    client = rest.Rest(start_tallyd("--workers", 1, database=database))
    experiment = client.experiment()
    run = client.run(experiment)
    client.post("runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 1, "step": 1})
    warm(client, experiment)
    rest.sql(database, "create function full_disk() returns trigger language plpgsql as $$ begin raise exception 'full' using errcode = '53100'; end $$")
    rest.sql(database, "create trigger full_disk before update on latest_metrics for each row execute function full_disk()")
    client.post("runs/log-metric", {"run_id": run, "key": "m", "value": 2, "timestamp": 2, "step": 2})
    for _ in range(3):
        assert not page(client, experiment, filter="metrics.m > 1")
        assert page(client, experiment)[0]["data"]["metrics"][0]["value"] == 1
    rest.sql(database, "drop trigger full_disk on latest_metrics")
    for _ in range(3):
        assert len(page(client, experiment, filter="metrics.m > 1")) == 1
        assert page(client, experiment)[0]["data"]["metrics"][0]["value"] == 2


def test_what_is_logged_past_the_server_is_found_after_ten_seconds(database, start_tallyd):
    client = rest.Rest(start_tallyd("--workers", 1, database=database))
    experiment = client.experiment()
    run = client.run(experiment)
    client.post("runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 1, "step": 1})
    warm(client, experiment)
    for _ in range(4):
        assert not page(client, experiment, filter="metrics.m > 1")
    rest.sql(database, "with u as (update latest_metrics set value = 2 returning run, experiment_id) insert into unsettled (run, experiment_id) select run, experiment_id from u")
    assert harness.await_true(lambda: page(client, experiment, filter="metrics.m > 1"), 20)


def test_what_a_server_left_is_shown_at_once_when_its_silence_is_noticed(database, start_tallyd):
    client, other = (rest.Rest(start_tallyd("--workers", 1, database=database)) for _ in range(2))
    run = client.run(client.experiment())
    client.post("runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 1, "step": 1})
    heard = {}
    with contextlib.closing(psycopg2.connect(database)) as ear, contextlib.closing(psycopg2.connect(database)) as holder:
        ear.autocommit = True
        ear.cursor().execute("listen tallyd_points")

        def listen():
            ear.poll()
            heard.update({word.payload: time.monotonic() for word in ear.notifies})
            ear.notifies.clear()
            return heard

        assert harness.await_true(lambda: len(listen()) == 2)
        holder.cursor().execute("select pg_advisory_xact_lock(apply_lock())")
        other.post("runs/log-metric", {"run_id": run, "key": "m", "value": 2, "timestamp": 2, "step": 2})
        workers = other.server.named("[wrk ")
        os.kill(other.server.process.pid, signal.SIGKILL)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        rest.sql(database, "select pg_terminate_backend(pid) from pg_locks where not granted")
        holder.rollback()
        while time.monotonic() - min(listen().values()) < 4:
            time.sleep(0.01)
    # As soon as it counts as gone.
    time.sleep(max(0, min(heard.values()) + 5.02 - time.monotonic()))
    assert client.run_data(run)["metrics"] == {"m": 2}


def test_no_copies_are_kept_when_none_are_wanted_and_few_when_there_is_room_for_few(database, start_tallyd):
    none = rest.Rest(start_tallyd("--workers", 1, "--run-copies", 0, database=database))
    experiment = none.experiment()
    for i in range(60):
        none.batch(none.run(experiment), tags=[("long", "x" * 8000), ("n", str(i))])
    expected = page(none, experiment)
    none.server.stop()
    few = rest.Rest(start_tallyd("--workers", 1, "--run-copies", "100000", database=database))
    until = time.monotonic() + 30
    while copied(few.server) == 0:
        assert page(few, experiment, max_results=5) == expected[:5]
        assert time.monotonic() < until
    for _ in range(3):
        assert page(few, experiment) == expected
    assert page(few, experiment, max_results=5) == expected[:5]
