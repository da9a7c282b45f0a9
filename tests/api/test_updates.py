"""runs/update: what arrives together is one statement, and each request is answered as if it had come alone."""

import concurrent.futures
import contextlib
import random

import psycopg2
import pytest

import harness
from rest import Rest, sql, together

UNKNOWN = "0" * 32


@pytest.fixture
def narrow(database, start_tallyd):
    """One worker with one writing connection: what comes while that waits is its next batch."""
    return Rest(start_tallyd("--workers", 1, "--write-lanes", 1, database=database))


def counted(client, name):
    text = harness.request("GET", f"{client.server.url}/metrics").body.decode()
    return int(next(line for line in text.splitlines() if line.startswith(f"tallyd_database_{name} ")).split()[1])


def at_once(client, bodies):
    """Sends the updates in this order while the connection waits for a lock, so that all of them are one batch; their answers."""
    first = client.run()
    with contextlib.closing(psycopg2.connect(client.server.database)) as holder, concurrent.futures.ThreadPoolExecutor(len(bodies) + 1) as pool:
        holder.cursor().execute("select from runs where run_id = %s for update", (first,))
        ahead = pool.submit(client.post, "runs/update", {"run_id": first, "status": "KILLED"})
        assert harness.await_true(lambda: sql(client.server.database, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'")[0][0] == 1)
        before = counted(client, "batches_total")
        answers = []
        for body in bodies:
            answers.append(pool.submit(client.server.api, "POST", "runs/update", body))
            assert harness.await_true(lambda: counted(client, "queued") == sum(not answer.done() for answer in answers))
        assert counted(client, "batches_total") == before
        holder.rollback()
        ahead.result()
        return [answer.result() for answer in answers], counted(client, "batches_total") - before


def info(client, run):
    return client.get(f"runs/get?run_id={run}")["run"]["info"]


def test_each_of_a_batch_is_answered_for_itself(narrow):
    gone, with_experiment = narrow.run(), narrow.run(experiment := narrow.experiment())
    narrow.post("runs/delete", {"run_id": gone})
    narrow.post("experiments/delete", {"experiment_id": experiment})
    runs = [narrow.run(run_name=f"old {i}") for i in range(12)]
    random.Random(1).shuffle(runs)
    bodies = [{"run_id": run, "status": "FINISHED", "end_time": 1000 + i} if i % 3 else {"run_id": run, "run_name": f"new ü {i}"} for i, run in enumerate(runs)]
    bodies[4:4] = [{"run_id": gone, "status": "FINISHED", "run_name": "x"}, {"run_id": UNKNOWN, "end_time": 1}]
    bodies.append({"run_id": with_experiment, "status": "FAILED"})
    answers, taken = at_once(narrow, bodies)
    assert taken == 1
    for body, answer in zip(bodies, answers):
        run, got = body["run_id"], answer.json()
        said = answer.status, got.get("error_code"), got.get("message")
        if run == UNKNOWN:
            assert said == (404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={run} not found")
        elif run in (gone, with_experiment):
            assert said == (400, "INVALID_PARAMETER_VALUE", f"The run {run} must be in the 'active' state. Current state is deleted.")
        else:
            now = info(narrow, run)
            assert answer.status == 200 and got["run_info"] == now
            assert {k: now.get(k) for k in body} == body
            assert narrow.run_data(run)["tags"]["mlflow.runName"] == now["run_name"]


def test_updates_of_one_run_are_made_one_after_the_other(narrow):
    run, other = narrow.run(run_name="a"), narrow.run(run_name="o")
    bodies = [
        {"run_id": run, "status": "SCHEDULED"},
        {"run_id": other, "end_time": 7},
        {"run_id": run, "run_name": "b"},
        {"run_id": run, "end_time": 5},
        {"run_id": run, "run_name": "c", "status": "FINISHED"},
        {"run_id": other, "run_name": "p"},
    ]
    answers, taken = at_once(narrow, bodies)
    assert taken == 1
    seen = [tuple(answer.json()["run_info"].get(k) for k in ("run_id", "status", "end_time", "run_name")) for answer in answers]
    assert seen == [
        (run, "SCHEDULED", None, "a"), (other, "RUNNING", 7, "o"), (run, "SCHEDULED", None, "b"), (run, "SCHEDULED", 5, "b"), (run, "FINISHED", 5, "c"), (other, "RUNNING", 7, "p"),
    ]
    assert narrow.run_data(run)["tags"]["mlflow.runName"] == "c"


def test_one_that_cannot_be_stored_fails_alone(narrow):
    runs = [narrow.run() for _ in range(9)]
    bodies = [{"run_id": run, "status": "FINISHED", "run_name": "a\0b" if i == 5 else f"name {i}"} for i, run in enumerate(runs)]
    answers, _ = at_once(narrow, bodies)
    assert [answer.status for answer in answers] == [400 if i == 5 else 200 for i in range(9)]
    assert answers[5].json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert [info(narrow, run)["status"] for run in runs] == ["RUNNING" if i == 5 else "FINISHED" for i in range(9)]


def test_an_update_that_changes_nothing_answers_with_the_run(narrow):
    run = narrow.run(run_name="same")
    assert narrow.post("runs/update", {"run_id": run})["run_info"] == info(narrow, run)
    assert narrow.post("runs/update", {"run_id": run, "run_name": "same", "status": "RUNNING"})["run_info"] == info(narrow, run)


def test_a_storm_of_updates_ends_with_one_truth(client, tallyd):
    """Many clients on several workers change the same runs, name them both ways, delete and restore them: nothing hangs, nothing is half done."""
    runs = [client.run(run_name="start") for _ in range(6)]

    def work(i):
        rng = random.Random(i)
        for n in range(25):
            run = rng.choice(runs) if rng.random() < 0.95 else UNKNOWN
            name = f"name {i}.{n}"
            path, body = rng.choice([
                ("runs/update", {"run_id": run, "status": "FINISHED", "end_time": 1000 * i + n}),
                ("runs/update", {"run_id": run, "run_name": name}),
                ("runs/set-tag", {"run_id": run, "key": "mlflow.runName", "value": name}),
                (f"runs/{rng.choice(['delete', 'restore', 'restore'])}", {"run_id": run}) if rng.random() < 0.3 else ("runs/update", {"run_id": run, "status": "RUNNING", "run_name": name}),
            ])
            answer = tallyd.api("POST", path, body)
            if run == UNKNOWN:
                assert answer.status == 404
            elif answer.status == 200 and path == "runs/update":
                got = answer.json()["run_info"]
                assert {k: got.get(k) for k in body} == body
            else:
                assert answer.status == 200 or answer.json()["message"].endswith("Current state is deleted."), (path, answer.status, answer.body)

    together(12, work)
    marks = ",".join(["%s"] * len(runs))
    assert sql(tallyd.database, f"select r.run_id from runs r join tags t on t.run = r.id and t.key_id = 1 where r.run_id in ({marks}) and r.name <> t.value", *runs) == []
