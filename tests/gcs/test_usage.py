"""Bytes and files of runs and logged models where clients write past the server: marked approximate at once, asked of the bucket later."""
import base64
import os
import signal
import subprocess

import harness
import psycopg2
import requests

from test_artifacts import bucket, complete, fresh, multipart, new_run, put  # noqa: F401
from test_gc import gc

FOREVER = 2**63 - 1


def ask(server, sql, *values):
    with psycopg2.connect(server.database) as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else None


def counted(server, run):
    rows = ask(server, "select bytes, files, approximate from report.artifact_usage where run_id = %s", run["run_id"])
    return rows[0] if rows else None


def later(server):
    """The minute, quarter of an hour or hour until the bucket is asked is over, and so are the addresses."""
    ask(server, "update artifact_usage set look_after = 1, open_until = case when open_until = %s then open_until else 1 end where look_after is not null", FOREVER)
    ask(server, "update model_usage set look_after = 1, open_until = case when open_until = %s then open_until else 1 end where look_after is not null", FOREVER)


def becomes(server, run, *expected):
    assert harness.await_true(lambda: counted(server, run) == expected, 30), counted(server, run)


def start(start_tallyd, bucket, database, *options):  # noqa: F811
    s = start_tallyd(*options, database=database, env=bucket.env)
    s.options, s.database = options, database
    return s


def test_uploads_at_signed_addresses(bucket, fresh, start_tallyd, database):  # noqa: F811
    server = start(start_tallyd, bucket, database, "--artifacts-destination", "gs://bucket/" + os.urandom(4).hex(), "--artifact-put", "redirect")
    redirected, root = new_run(server)
    assert put(server, root + "/f", b"12345").status_code == 200
    presigned, _ = new_run(server)
    for name in ("a", "b"):
        url = server.api("POST", "artifacts/presigned-upload-url", {"run_id": presigned["run_id"], "path": "d/" + name}).json()["presigned_url"]
        assert requests.put(url, data=b"123", timeout=30).status_code == 200
    single, single_root = new_run(server)
    upload_id, parts = multipart(server, single_root, "one", [b"1234567"])
    assert complete(server, single_root, "one", upload_id, parts).json() == {}
    parted, parted_root = new_run(server)
    fresh.tell("/_config", min_part=1)
    upload_id, parts = multipart(server, parted_root, "two", [b"1234567", b"8"])
    assert complete(server, parted_root, "two", upload_id, parts).json() == {}
    becomes(server, redirected, 0, 0, True)
    becomes(server, presigned, 0, 0, True)
    becomes(server, single, 7, 1, True)
    becomes(server, parted, 8, 1, False)
    # An address lives for a quarter of an hour: what is found before that is not final.
    ask(server, "update artifact_usage set look_after = 1 where look_after is not null")
    becomes(server, redirected, 5, 1, True)
    becomes(server, presigned, 6, 2, True)
    becomes(server, single, 7, 1, False)
    assert ask(server, "select count(*) from artifact_usage where look_after > open_until") == [(2,)]
    later(server)
    becomes(server, redirected, 5, 1, False)
    becomes(server, presigned, 6, 2, False)
    assert ask(server, "select count(*) from artifact_usage where look_after is not null") == [(0,)]
    # Soon after a count, nobody knows whether it held this already: asked again.
    assert requests.delete(server.url + "/api/2.0/mlflow-artifacts/artifacts/" + root + "/f", timeout=30).status_code == 200
    becomes(server, redirected, 0, 0, True)
    later(server)
    becomes(server, redirected, 0, 0, False)


def test_a_bucket_that_is_away_is_asked_again(bucket, fresh, start_tallyd, database):  # noqa: F811
    server = start(start_tallyd, bucket, database, "--artifacts-destination", "gs://bucket/" + os.urandom(4).hex(), "--artifact-put", "redirect")
    run, root = new_run(server)
    assert put(server, root + "/f", b"12345").status_code == 200
    becomes(server, run, 0, 0, True)
    fresh.tell("/_role", permissions=["storage.objects.get", "storage.objects.create"])
    later(server)
    assert harness.await_true(lambda: "was not counted" in server.log.read_text() and "storage.objects.list" in server.log.read_text(), 30)
    assert counted(server, run) == (0, 0, True)
    fresh.tell("/_role", permissions=["storage.objects.get", "storage.objects.create", "storage.objects.list"])
    later(server)
    becomes(server, run, 5, 1, False)


def test_runs_whose_clients_write_to_the_bucket_themselves(bucket, fresh, start_tallyd, database):  # noqa: F811
    base = "gs://bucket/direct-" + os.urandom(4).hex()
    server = start(start_tallyd, bucket, database, "--default-artifact-root", base)

    def write(uri, name, data):
        fresh.tell("/_put", bucket="bucket", name=uri[len("gs://bucket/"):] + "/" + name, data=base64.b64encode(data).decode())

    experiment = server.api("POST", "experiments/create", {"name": "direct"}).json()["experiment_id"]
    run = server.api("POST", "runs/create", {"experiment_id": experiment, "start_time": 1}).json()["run"]["info"]
    model = server.api("POST", "logged-models", {"experiment_id": experiment, "name": "m", "source_run_id": run["run_id"]}).json()["model"]["info"]
    other = server.api("POST", "experiments/create", {"name": "other", "artifact_location": "gs://someone-elses/x"}).json()["experiment_id"]
    foreign = server.api("POST", "runs/create", {"experiment_id": other, "start_time": 1}).json()["run"]["info"]
    write(run["artifact_uri"], "d/f", b"12345")
    write(model["artifact_uri"], "MLmodel", b"123")
    assert counted(server, run) == counted(server, foreign) == (0, 0, True)
    later(server)
    becomes(server, run, 5, 1, True)
    assert harness.await_true(lambda: counted(server, foreign) is None, 30)
    assert harness.await_true(lambda: ask(server, "select bytes, files, approximate from report.logged_models where model_id = %s", model["model_id"]) == [(3, 1, True)], 30)
    # A run that lasts is looked at hourly, one that has ended once more.
    assert ask(server, "select count(*) from artifact_usage where look_after > updated_time + 3000000") == [(1,)]
    write(run["artifact_uri"], "g", b"678")
    assert server.api("POST", "runs/update", {"run_id": run["run_id"], "status": "FINISHED", "end_time": 2}).status == 200
    assert ask(server, "select look_after < extract(epoch from now()) * 1000 + 61000 from artifact_usage") == [(True,)]
    later(server)
    becomes(server, run, 8, 2, True)
    assert ask(server, "select look_after from artifact_usage") == [(None,)]
    assert ask(server, "select bytes, files, model_bytes, approximate from report.storage_by_experiment where experiment_id = %s", experiment) == [(8, 2, 3, True)]

    # Nobody's folders in the direct root, in an experiment of its own place, and among logged models.
    place = server.api("POST", "experiments/create", {"name": "placed", "artifact_location": base + "/team/x"}).json()["experiment_id"]
    placed = server.api("POST", "runs/create", {"experiment_id": place, "start_time": 1}).json()["run"]["info"]
    write(placed["artifact_uri"], "f", b"1")
    orphans = ["%s/%s/%s" % (base, experiment, "a" * 32), "%s/%s/models/m-%s" % (base, experiment, "b" * 32), "%s/team/x/%s" % (base, "c" * 32), base + "/4711/" + "d" * 32]
    for o in orphans:
        write(o, "artifacts/f", b"1")
    status, said = gc(server, "--dry-run")
    found = sorted(line for line in said.splitlines() if line.startswith("orphan"))
    assert status == 0 and found == sorted("orphan: folder %s belongs to no %s" % (o, "model" if "models" in o else "run") for o in orphans), said
    # And what is deleted goes from there.
    server.api("POST", "runs/delete", {"run_id": run["run_id"]})
    status, said = gc(server, "--older-than", "0s")
    assert status == 0 and "removed run %s: 2 files, 8 bytes" % run["run_id"] in said, said
    assert ask(server, "select count(*) from artifact_usage u where not exists (select from runs r where r.id = u.run)") == [(0,)]


def test_gc_killed_at_any_point_goes_on(bucket, fresh, start_tallyd, database):  # noqa: F811
    server = start(start_tallyd, bucket, database, "--artifacts-destination", "gs://bucket/" + os.urandom(4).hex())
    runs = [new_run(server) for _ in range(12)]
    for run, root in runs:
        for name in "abc":
            put(server, root + "/" + name, b"12345")
    kept, gone = runs[:4], runs[4:]
    for run, _ in gone:
        server.api("POST", "runs/delete", {"run_id": run["run_id"]})
    command = [*harness.binary(), "gc", "--data-dir", str(server.folder / "data"), "--database", server.database, *server.options, "--older-than", "0s"]
    rounds = killed = 0
    while ask(server, "select count(*) from runs where lifecycle = 1")[0][0] > 0 and rounds < 100:
        # Each round comes to another point before it dies: before, between and after the files of a run.
        fresh.tell("/_fault", n=1000, match="", delay=0.02)
        seen = fresh.state.stats["requests"]
        process = subprocess.Popen(command, env=server.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert harness.await_true(lambda: fresh.state.stats["requests"] > seen + 1 + rounds % 7 or process.poll() is not None, 20)
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        with fresh.state.lock:
            fresh.state.faults.clear()
        rounds += 1
        # Whatever is left of a run that is still there can be seen and removed; what stays is whole.
        for run, root in kept:
            assert requests.get(server.url + "/api/2.0/mlflow-artifacts/artifacts/" + root + "/a", timeout=30).content == b"12345"
    assert killed > 3
    # The lock of the last one goes with its connection.
    assert harness.await_true(lambda: gc(server, "--older-than", "0s")[0] == 0, 20)
    assert ask(server, "select count(*) from runs") == [(len(kept),)] and ask(server, "select count(*), sum(files) from artifact_usage") == [(len(kept), 3 * len(kept))]
    left = [key for key in fresh.state.objects if server.options[1][len("gs://bucket/"):] + "/" in key[1]]
    assert len(left) == 3 * len(kept), left
