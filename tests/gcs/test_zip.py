"""A folder of a run in a bucket as one zip."""

import io
import os
import zipfile

import pytest
import requests
from test_artifacts import FULL, bucket, fresh, in_bucket  # noqa: F401


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

@pytest.mark.skipif(not FULL, reason="nine gigabytes: TALLYD_FULL=1")
def test_more_than_four_gigabytes(tallyd, tmp_path):
    """A file of more than 4 GiB (sparse), and one behind 4 GiB of what does not pack: sizes and offsets need the format's wide form."""
    run = new_run(tallyd)
    put(tallyd, run, "0-small", b"first")
    folder = tallyd.folder / "data" / "artifacts" / "0" / run / "artifacts"
    with open(folder / "1-sparse", "wb") as f:
        f.truncate((4 << 30) + 12345)
        f.seek(4 << 30)
        f.write(b"end")
    block = os.urandom(1 << 20)
    with open(folder / "2-random", "wb") as f:
        for _ in range(4100):
            f.write(block)
    put(tallyd, run, "3-last", b"behind it")
    target = tmp_path / "all.zip"
    try:
        with requests.get(f"{tallyd.url}/ajax-api/2.0/tallyd/artifacts/zip", params={"run_id": run}, stream=True, timeout=120) as got, open(target, "wb") as f:
            assert got.status_code == 200
            for data in got.iter_content(1 << 20):
                f.write(data)
        assert target.stat().st_size > 4 << 30
        with zipfile.ZipFile(target) as archive:
            assert {i.filename: i.file_size for i in archive.infolist()} == {"0-small": 5, "1-sparse": (4 << 30) + 12345, "2-random": 4100 << 20, "3-last": 9}
            assert archive.testzip() is None
            assert archive.read("3-last") == b"behind it" and archive.getinfo("3-last").header_offset > 4 << 30
            with archive.open("1-sparse") as f:
                while data := f.read(1 << 24):
                    assert not data.strip(b"\0") or data.strip(b"\0") == b"end"
    finally:
        target.unlink(missing_ok=True)
        requests.delete(f"{tallyd.url}/api/2.0/mlflow-artifacts/artifacts/0/{run}", timeout=60)
