"""The artifact walk on emulators that others wrote, behind the stand-in's checks: what they store and how they list it is theirs. fake-gcs-server is built by Go, which takes minutes, so
without one on the path it is built in the full run only; gcp-storage-emulator comes from PyPI."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile

import harness
import pytest
import requests

import front
from test_artifacts import FULL, ROUTE, Bucket, at, complete, get, multipart, new_run, passed, put, walk

TOOLS = harness.ROOT / "build" / "emulators"


def fake_gcs_server(port, folder):
    found = shutil.which("fake-gcs-server") or shutil.which(str(TOOLS / "fake-gcs-server"))
    if not found and FULL and shutil.which("go"):
        done = subprocess.run(["go", "install", "github.com/fsouza/fake-gcs-server@v1.56.1"], env={**os.environ, "GOBIN": str(TOOLS)}, capture_output=True, text=True, timeout=1500)
        found = str(TOOLS / "fake-gcs-server") if done.returncode == 0 else None
    if not found:
        pytest.skip("no fake-gcs-server (built by the full run, where there is Go)")
    return [found, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-log-level", "error"]


def gcp_storage_emulator(port, folder):
    program = TOOLS / "venv" / "bin" / "gcp-storage-emulator"
    if not program.exists():
        done = subprocess.run([sys.executable, "-m", "venv", str(TOOLS / "venv")], capture_output=True, text=True, timeout=120)
        if done.returncode == 0:
            done = subprocess.run([str(TOOLS / "venv" / "bin" / "pip"), "install", "--quiet", "gcp-storage-emulator"], capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            shutil.rmtree(TOOLS / "venv", ignore_errors=True)
            pytest.skip("gcp-storage-emulator cannot be installed here: " + done.stderr[-200:])
    return [str(program), "start", "--host", "127.0.0.1", "--port", str(port), "--in-memory"]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module", params=[fake_gcs_server, gcp_storage_emulator], ids=lambda f: f.__name__.replace("_", "-"))
def emulated(request, postgres):
    """A tallyd whose bucket is an emulator's, and that bucket's front."""
    port, folder = harness.free_port(), tempfile.mkdtemp(prefix="tallyd-emulator-")
    process = subprocess.Popen(request.param(port, folder), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    server = bucket = None
    try:
        assert harness.await_true(lambda: answers(port), 30), "the emulator did not start"
        bucket = Bucket(lambda: front.serve("127.0.0.1:%d" % port))
        server = harness.Tallyd("--artifacts-destination", "gs://bucket/team", database=postgres.database(), env=bucket.env).start()
        yield server, bucket
    finally:
        if server:
            server.close()
        if bucket:
            bucket.server.shutdown()
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def test_client_walks(emulated):
    server, bucket = emulated
    before = passed(server)
    walk(server.url, 0, 1, 5 << 20, 24 << 20)
    after = passed(server)
    assert after[1] == before[1] and after[0] - before[0] > 29 << 20


def test_client_walks_past_the_server(emulated):
    server, bucket = emulated
    before = passed(server)
    walk(server.url, 0, 1, 5 << 20, 24 << 20, MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="1")
    assert passed(server) == before


def test_files_are_listed_read_in_pieces_replaced_and_removed(emulated):
    server, _ = emulated
    run, root = new_run(server)
    for name in ("foo/a b.txt", "foo/ü/c", "foobar", "foo.txt"):
        assert put(server, root + "/" + name, name.encode()).status_code == 200
    files = server.api("GET", "artifacts/list?run_id=" + run["run_id"]).json()["files"]
    assert [(f["path"], f["is_dir"]) for f in files] == [("foo", True), ("foo.txt", False), ("foobar", False)]
    ranged = requests.get(server.url + "/get-artifact", params={"run_id": run["run_id"], "path": "foobar"}, headers={"Range": "bytes=3-4"}, timeout=30)
    assert ranged.status_code == 206 and ranged.content == b"ba"
    assert put(server, root + "/foobar", b"anew").status_code == 200 and get(server, root + "/foobar").content == b"anew"
    assert requests.delete(at(server, root + "/foo"), timeout=60).json() == {}
    files = server.api("GET", "artifacts/list?run_id=" + run["run_id"]).json()["files"]
    assert [f["path"] for f in files] == ["foo.txt", "foobar"]


def test_parts_are_joined(emulated):
    server, _ = emulated
    _, root = new_run(server)
    pieces = [os.urandom(5 << 20), os.urandom(5 << 20), os.urandom(99)]
    upload_id, parts = multipart(server, root, "m.bin", pieces)
    assert complete(server, root, "m.bin", upload_id, parts).json() == {}
    got = requests.get(server.url + ROUTE + "presigned/" + root + "/m.bin", timeout=30).json()
    assert got["file_size"] == sum(map(len, pieces))
    assert requests.get(got["url"], timeout=60).content == b"".join(pieces)
    assert requests.get(got["url"], headers={"Range": "bytes=5242879-5242880"}, timeout=60).content == pieces[0][-1:] + pieces[1][:1]
