"""tallyd gc: what was deleted goes with its files, the rest stays, and it can be run again at any point."""
import subprocess

import harness
import psycopg2
import pytest
import requests

from test_artifacts import at, bucket, fresh, get, new_run, put  # noqa: F401


@pytest.fixture(params=["local", "bucket"])
def server(request, bucket, fresh, start_tallyd, database):  # noqa: F811
    options = ["--artifacts-destination", "gs://bucket/" + database.split("/")[3].split("?")[0]] if request.param == "bucket" else []
    s = start_tallyd(*options, database=database, env=bucket.env)
    s.options, s.database = options, database
    return s


def gc(server, *options):
    command = [*harness.binary(), "gc", "--data-dir", str(server.folder / "data"), "--database", server.database, *server.options, *options]
    done = subprocess.run(command, env=server.env, capture_output=True, text=True, timeout=90)
    return done.returncode, done.stdout + done.stderr


def test_gc_removes_deleted_runs_with_their_files(server):
    run, root = new_run(server)
    kept, kept_root = new_run(server)
    for r in (root, kept_root):
        put(server, r + "/a/f", b"12345")
        put(server, r + "/g", b"123")
    server.api("POST", "runs/log-metric", {"run_id": run["run_id"], "key": "m", "value": 1, "timestamp": 1})
    server.api("POST", "runs/log-parameter", {"run_id": run["run_id"], "key": "p", "value": "1"})
    assert server.api("POST", "runs/delete", {"run_id": run["run_id"]}).status == 200
    status, said = gc(server, "--older-than", "1h")
    assert status == 0 and "removed: 0 runs" in said, said
    status, said = gc(server, "--older-than", "0s", "--dry-run")
    assert status == 0 and "would remove run %s: 2 files, 8 bytes" % run["run_id"] in said, said
    assert get(server, root + "/g").status_code == 200
    status, said = gc(server, "--older-than", "0s")
    assert status == 0 and "removed run %s: 2 files, 8 bytes" % run["run_id"] in said, said
    assert get(server, root + "/g").status_code == 404 and get(server, root + "/a/f").status_code == 404
    assert server.api("GET", "runs/get?run_id=" + run["run_id"]).status == 404
    assert get(server, kept_root + "/a/f").content == b"12345" and server.api("GET", "runs/get?run_id=" + kept["run_id"]).status == 200
    status, said = gc(server, "--older-than", "0s")
    assert status == 0 and "removed: 0 runs" in said and "orphan" not in said, said


def test_usage_of_runs_and_logged_models_is_counted(server):
    run, root = new_run(server)
    made = server.api("POST", "logged-models", {"experiment_id": run["experiment_id"], "name": "m", "source_run_id": run["run_id"]}).json()["model"]["info"]
    folder = "%s/models/%s/artifacts" % (run["experiment_id"], made["model_id"])
    put(server, root + "/f", b"12345")
    put(server, folder + "/MLmodel", b"1234567")
    put(server, folder + "/data/model.bin", b"123")
    put(server, folder + "/data/model.bin", b"1")

    def counted():
        with psycopg2.connect(server.database) as connection, connection.cursor() as cursor:
            cursor.execute("select bytes, files from report.artifact_usage where run_id = %s union all select bytes, files from report.logged_models where model_id = %s", (run["run_id"], made["model_id"]))
            return cursor.fetchall()

    assert harness.await_true(lambda: counted() == [(5, 1), (8, 2)], 10), counted()
    assert requests.delete(at(server, folder + "/data"), timeout=30).status_code == 200
    assert harness.await_true(lambda: counted() == [(5, 1), (7, 1)], 10), counted()
    for _ in range(2):
        put(server, root + "/empty", b"")
        put(server, root + "/f", b"12345")
        put(server, root + "/large", b"z" * 300000)
    put(server, root + "/empty", b"12")
    assert harness.await_true(lambda: counted() == [(300007, 3), (7, 1)], 10), counted()
    # The run's folder as a whole, by its path.
    assert requests.delete(at(server, root.rpartition("/")[0]), timeout=30).status_code == 200
    assert harness.await_true(lambda: counted() == [(0, 0), (7, 1)], 10), counted()
    assert server.api("DELETE", "logged-models/" + made["model_id"]).status == 200
    status, said = gc(server, "--older-than", "0s")
    assert status == 0 and "removed model %s: 1 files, 7 bytes" % made["model_id"] in said, said
    with psycopg2.connect(server.database) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from model_usage")
        assert cursor.fetchall() == [(0,)]


def test_gc_removes_empty_experiments_and_keeps_what_a_version_needs(server):
    run, root = new_run(server)
    other, other_root = new_run(server)
    put(server, root + "/model/MLmodel", b"x")
    put(server, other_root + "/f", b"x")
    server.api("POST", "registered-models/create", {"name": "needed"})
    assert server.api("POST", "model-versions/create", {"name": "needed", "source": run["artifact_uri"] + "/model", "run_id": run["run_id"]}).status == 200
    for r in (run, other):
        assert server.api("POST", "experiments/delete", {"experiment_id": r["experiment_id"]}).status == 200
    status, said = gc(server, "--older-than", "0s")
    assert status == 0 and "kept run %s: needed version 1 needs it" % run["run_id"] in said and "removed 1 empty experiments" in said, said
    assert get(server, root + "/model/MLmodel").status_code == 200 and get(server, other_root + "/f").status_code == 404
    assert server.api("GET", "experiments/get?experiment_id=" + other["experiment_id"]).status == 404
    assert server.api("DELETE", "model-versions/delete", {"name": "needed", "version": "1"}).status == 200
    status, said = gc(server, "--older-than", "0s")
    assert status == 0 and "removed run " + run["run_id"] in said, said


def test_gc_names_orphans_and_removes_none(server):
    put(server, "4711/" + "a" * 32 + "/artifacts/f", b"x")
    status, said = gc(server, "--older-than", "0s")
    assert status == 0 and "orphan: folder mlflow-artifacts:/4711/%s belongs to no run" % ("a" * 32) in said, said
    assert get(server, "4711/" + "a" * 32 + "/artifacts/f").content == b"x"


def test_gc_leaves_the_row_when_the_files_cannot_go(server, fresh):  # noqa: F811
    if not server.options:
        pytest.skip("a folder lets itself be removed")
    run, root = new_run(server)
    put(server, root + "/f")
    server.api("POST", "runs/delete", {"run_id": run["run_id"]})
    fresh.tell("/_role", permissions=["storage.objects.get", "storage.objects.list", "storage.objects.create"])
    status, said = gc(server, "--older-than", "0s")
    assert status == 1 and "storage.objects.delete" in said, said
    assert server.api("POST", "runs/restore", {"run_id": run["run_id"]}).status == 200


def test_gc_aborts_uploads_that_nobody_finished(server, fresh):  # noqa: F811
    if not server.options:
        pytest.skip("there are no uploads in parts in a folder")
    _, root = new_run(server)
    for i in range(5):
        requests.post(server.url + "/api/2.0/mlflow-artifacts/mpu/create/" + root, json={"path": "f%d" % i, "num_parts": 3}, timeout=30)
    ours = {i: u for i, u in fresh.state.uploads.items() if root in u["name"]}
    # More than a page of them; the newer ones are somebody's work.
    fresh.tell("/_config", page_most=2)
    for u in ours.values():
        u["begun"] -= 8 * 86400 if u["name"][-1] in "134" else 86400
    # A token that is refused on the way is replaced.
    fresh.tell("/_fault", n=1, method="GET", match="uploads", status=401)
    status, said = gc(server, "--dry-run")
    assert status == 0 and "would abort 3 uploads" in said and set(ours) <= set(fresh.state.uploads), said
    fresh.tell("/_fault", n=1, method="DELETE", match="uploadId", status=401)
    status, said = gc(server)
    assert status == 0 and "aborted 3 uploads" in said, said
    assert not any(f["n"] for f in fresh.state.faults)
    assert sorted(u["name"][-2:] for i, u in fresh.state.uploads.items() if i in ours) == ["f0", "f2"]


def test_gc_refuses_an_age_it_cannot_read(server):
    status, said = gc(server, "--older-than", "soon")
    assert status == 2 and "30d" in said
