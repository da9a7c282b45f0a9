"""A folder of a run in a bucket as one zip."""

import io
import os
import zipfile

import harness
import requests
from test_artifacts import bucket, fresh, in_bucket  # noqa: F401


def put(server, run, path, data):
    assert requests.put(f"{server.url}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{path}", data=data, timeout=30).status_code == 200


def fetch(server, run, path=""):
    return requests.get(f"{server.url}/ajax-api/2.0/tallyd/artifacts/zip", params={"run_id": run, "path": path}, timeout=60)


def new_run(server):
    return server.api("POST", "runs/create", {"experiment_id": "0", "run_name": os.urandom(8).hex()}).json()["run"]["info"]["run_id"]


def unpacked(body):
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        return {i.filename: archive.read(i) for i in archive.infolist()}


def test_files_come_through_the_server(in_bucket, fresh):  # noqa: F811
    run = new_run(in_bucket)
    files = {"empty": b"", "d/große datei.bin": os.urandom(5_000_000), "d/e/zeros": bytes(2_000_000), "z.txt": b"last"}
    for path, data in files.items():
        put(in_bucket, run, path, data)
    assert unpacked(fetch(in_bucket, run).content) == files
    assert unpacked(fetch(in_bucket, run, "d/e").content) == {"zeros": files["d/e/zeros"]}
    assert fetch(in_bucket, run, "none").status_code == 404
    assert fetch(in_bucket, run, "z.txt").status_code == 400
    assert unpacked(fetch(in_bucket, new_run(in_bucket)).content) == {}


def test_a_name_that_leads_out_is_refused(in_bucket, fresh, bucket):  # noqa: F811
    run = new_run(in_bucket)
    put(in_bucket, run, "f", b"x")
    first = next(n for n in bucket.names() if run in n)
    entry = bucket.state.objects[("bucket", first)]
    bucket.state.objects[("bucket", first[: -len("f")] + "../../evil")] = entry
    answer = fetch(in_bucket, run)
    assert answer.status_code == 400, answer.text
    assert "cannot be put into a zip" in answer.text
