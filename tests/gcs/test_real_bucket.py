"""The same walk on a real bucket, on request: make test-gcs BUCKET=name, with credentials as Google's libraries find them. Everything lies below one random folder, removed at the end."""
import os
import urllib.parse

import harness
import pytest
import requests

from test_artifacts import ROUTE, get, multipart, complete, new_run, put, walk

BUCKET = os.environ.get("TALLYD_TEST_BUCKET", "")
pytestmark = pytest.mark.skipif(not BUCKET, reason="make test-gcs BUCKET=name")


@pytest.fixture(scope="module")
def server(postgres):
    folder = "tallyd-test-" + os.urandom(6).hex()
    s = harness.Tallyd("--artifacts-destination", "gs://%s/%s" % (BUCKET, folder), database=postgres.database()).start()
    yield s
    listed = requests.get(s.url + ROUTE + "artifacts", timeout=120).json().get("files", [])
    for f in listed:
        requests.delete(s.url + ROUTE + "artifacts/" + urllib.parse.quote(f["path"]), timeout=300)
    s.close()


def test_start_finds_every_permission(server):
    report = requests.get(server.url + "/api/2.0/tallyd/doctor", timeout=60).json()
    assert report["usable"] and "ok: all permissions" in report["report"] and "ok: signed addresses work" in report["report"], report


def test_client_walks_on_the_real_bucket(server):
    walk(server.url, 0, 1, 5 << 20, 40 << 20)
    walk(server.url, 0, 1, 5 << 20, 24 << 20, MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="1")


def test_uploads_in_parts_and_through_the_server(server):
    _, root = new_run(server)
    pieces = [os.urandom(5 << 20), os.urandom(5 << 20), os.urandom(77)]
    upload_id, parts = multipart(server, root, "m.bin", pieces)
    assert complete(server, root, "m.bin", upload_id, parts).json() == {}
    assert get(server, root + "/m.bin").content == b"".join(pieces)
    for data in (b"", b"one", os.urandom(3 << 20)):
        assert put(server, root + "/p", data).status_code == 200 and get(server, root + "/p").content == data
        assert put(server, root + "/c", (data[i:i + 50000] for i in range(0, len(data), 50000))).status_code == 200 and get(server, root + "/c").content == data
    ranged = requests.get(get(server, root + "/p", allow_redirects=False).headers["Location"], headers={"Range": "bytes=5-9"}, timeout=30)
    assert ranged.status_code == 206 and len(ranged.content) == 5
