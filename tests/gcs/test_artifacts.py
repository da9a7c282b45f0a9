"""Artifacts on both stores: the real client, the routes, what a bucket may do to us. The bucket is the stand-in of this folder, which checks every signature."""
import base64
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse

import harness
import pytest
import requests

import standin

HERE = pathlib.Path(__file__).resolve().parent
KEY = str(HERE / "vectors" / "test_service_account.not-a-test.json")
ROUTE = "/api/2.0/mlflow-artifacts/"
FULL = bool(os.environ.get("TALLYD_FULL"))
VIEWER_CREATOR = ["storage.objects.get", "storage.objects.list", "storage.objects.create", "storage.multipartUploads.create", "storage.multipartUploads.abort", "storage.multipartUploads.listParts"]


class Bucket:
    def __init__(self, serve=standin.serve):
        self.server, self.state = serve()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.env = {"STORAGE_EMULATOR_HOST": self.url, "TALLYD_TOKEN_URI": self.url + "/token", "TALLYD_IAM_ENDPOINT": self.url, "GOOGLE_APPLICATION_CREDENTIALS": KEY}

    def tell(self, path, **what):
        assert requests.post(self.url + path, json=what, timeout=10).ok

    def names(self):
        return sorted(n for _, n in self.state.objects)

    def data(self, name):
        return open(self.state.objects[("bucket", name)].path, "rb").read()


@pytest.fixture(scope="session")
def bucket():
    b = Bucket()
    yield b
    b.server.shutdown()


@pytest.fixture(scope="session")
def in_bucket(bucket, postgres):
    server = harness.Tallyd("--artifacts-destination", "gs://bucket/team", database=postgres.database(), env=bucket.env).start()
    yield server
    server.close()


@pytest.fixture(params=["local", "bucket"])
def either(request):
    if request.param == "local":
        return request.getfixturevalue("tallyd")
    request.getfixturevalue("fresh")
    return request.getfixturevalue("in_bucket")


@pytest.fixture
def fresh(bucket):
    """The stand-in with no fault, all permissions, the right time and counters at zero; objects stay."""
    s = bucket.state
    with s.lock:
        s.faults.clear()
        s.offset, s.permissions, s.min_part, s.page_most = 0.0, set(standin.ALL_PERMISSIONS), 5 << 20, 1000
        for k in s.stats:
            s.stats[k] = 0
    return bucket


def walk(url, *sizes, **env):
    done = subprocess.run([sys.executable, str(HERE / "client_walk.py"), url, *map(str, sizes)], env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **env}, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def at(server, path, quoted=True):
    return server.url + ROUTE + "artifacts/" + (urllib.parse.quote(path) if quoted else path)


def put(server, path, data=b"x", **more):
    return requests.put(at(server, path), data=data, timeout=60, **more)


def get(server, path, **more):
    return requests.get(at(server, path), timeout=60, **more)


def new_run(server):
    experiment = server.api("POST", "experiments/create", {"name": "e-" + os.urandom(6).hex()}).json()["experiment_id"]
    run = server.api("POST", "runs/create", {"experiment_id": experiment, "start_time": 1}).json()["run"]["info"]
    assert run["artifact_uri"] == "mlflow-artifacts:/%s/%s/artifacts" % (experiment, run["run_id"])
    return run, "%s/%s/artifacts" % (experiment, run["run_id"])


def passed(server):
    """Bytes of artifacts that the server itself says passed through it: received, sent."""
    text = requests.get(server.url + "/metrics", timeout=30).text
    return [int(next(line.split()[1] for line in text.splitlines() if line.startswith("tallyd_artifact_%s_bytes_total " % way))) for way in ("received", "sent")]


# ---- the real client

def test_client_walks_with_local_files(tallyd):
    walk(tallyd.url, 0, 1, 5 << 20, 40 << 20)


def test_client_without_settings_downloads_nothing_through_the_server(in_bucket, fresh):
    before = passed(in_bucket)
    walk(in_bucket.url, 0, 1, 5 << 20, 40 << 20)
    after = passed(in_bucket)
    assert after[1] == before[1] and after[0] - before[0] > 45 << 20
    assert fresh.state.stats["token_out"] == 0 and fresh.state.stats["signed_out"] > 45 << 20
    assert fresh.state.stats["token_in"] > 45 << 20 and fresh.state.stats["signed_in"] == 0


def test_client_with_low_threshold_uploads_nothing_through_the_server(in_bucket, fresh):
    before = passed(in_bucket)
    walk(in_bucket.url, 0, 1, 5 << 20, 40 << 20, MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="1")
    assert passed(in_bucket) == before
    assert fresh.state.stats["token_in"] == 0 and fresh.state.stats["token_out"] == 0 and fresh.state.stats["signed_in"] > 45 << 20


@pytest.mark.skipif(not FULL, reason="half a gigabyte: TALLYD_FULL=1")
def test_client_sends_large_files_straight_to_the_bucket(in_bucket, fresh):
    walk(in_bucket.url, 0, 1, 530 << 20)
    assert fresh.state.stats["signed_in"] == 530 << 20 and fresh.state.stats["token_in"] < 1 << 20 and fresh.state.stats["token_out"] == 0


@pytest.mark.skipif(not FULL, reason="half a gigabyte: TALLYD_FULL=1")
def test_client_walks_large_files_with_local_files(tallyd):
    before = passed(tallyd)
    walk(tallyd.url, 0, 1, 530 << 20)
    after = passed(tallyd)
    assert after[0] - before[0] > 530 << 20 and after[1] - before[1] > 530 << 20


@pytest.mark.parametrize("where", ["local", "bucket"])
def test_larger_artifacts_than_the_limit_are_refused(where, bucket, fresh, start_tallyd, database):
    options = ["--artifacts-destination", "gs://bucket/limited"] if where == "bucket" else []
    server = start_tallyd("--artifact-limit", "1M", *options, database=database, env=bucket.env)
    run, root = new_run(server)
    most = 1 << 20
    assert put(server, root + "/just", b"j" * most).status_code == 200
    assert put(server, root + "/chunked-just", iter([b"j" * (most // 2)] * 2)).status_code == 200
    refused = put(server, root + "/over", b"o" * (most + 1))
    assert refused.status_code == 413 and "--artifact-limit" in refused.json()["message"]
    # Its length is not said before: refused where it passes the limit, and not kept.
    assert put(server, root + "/chunked-over", iter([b"o" * 65536] * 17)).status_code == 413
    assert requests.post(server.url + "/ajax-api/2.0/mlflow/upload-artifact", params={"run_uuid": run["run_id"], "path": "page-over"}, data=b"o" * (most + 1), timeout=60).status_code == 413
    for name in ("over", "chunked-over", "page-over"):
        assert get(server, root + "/" + name).status_code == 404
    assert sorted(f["path"] for f in server.api("GET", "artifacts/list?run_id=" + run["run_id"]).json()["files"]) == ["chunked-just", "just"]


def test_client_walks_keyless_with_the_metadata_server(bucket, fresh, start_tallyd, database):
    env = {k: v for k, v in bucket.env.items() if k not in ("GOOGLE_APPLICATION_CREDENTIALS", "TALLYD_TOKEN_URI")}
    server = start_tallyd("--artifacts-destination", "gs://bucket/keyless", database=database, env={**env, "GCE_METADATA_HOST": bucket.url[7:], "HOME": "/nonexistent"})
    walk(server.url, 0, 1, 12 << 20, MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="1")
    assert fresh.state.stats["signblob"] > 10 and fresh.state.stats["token_in"] == 0


def test_client_follows_307_when_uploads_are_redirected(bucket, fresh, start_tallyd, database):
    server = start_tallyd("--artifacts-destination", "gs://bucket/redirected", "--artifact-put", "redirect", database=database, env=bucket.env)
    walk(server.url, 0, 1, 5 << 20)
    assert fresh.state.stats["token_in"] == 0 and fresh.state.stats["signed_in"] > 5 << 20


# ---- the routes

@pytest.mark.parametrize("size", [0, 1, 65536, 300000, 3 << 20])
def test_bytes_come_back_as_they_were(either, size):
    data = os.urandom(size)
    _, root = new_run(either)
    assert put(either, root + "/f.bin", data).status_code == 200
    assert get(either, root + "/f.bin").content == data
    chunked = put(either, root + "/chunked.bin", (data[i:i + 7000] for i in range(0, size, 7000)))
    assert chunked.status_code == 200 and chunked.content == b""
    assert get(either, root + "/chunked.bin").content == data
    assert put(either, root + "/f.bin", b"shorter").status_code == 200 and get(either, root + "/f.bin").content == b"shorter"


@pytest.mark.parametrize("name", ["a b.txt", "ü/ß.txt", "100%.txt", "a+b&c=d;e,f.txt", "x" * 255, "deep/" * 40 + "f", "quote\"s'.txt", "emoji-\U0001f600.bin", "..a", "a..", ".hidden"])
def test_names_are_kept(either, name):
    run, root = new_run(either)
    assert put(either, root + "/" + name, name.encode()).status_code == 200
    got = requests.get(either.url + "/get-artifact", params={"run_id": run["run_id"], "path": name}, timeout=30)
    assert got.status_code == 200 and got.content == name.encode()
    folder, _, last = name.rpartition("/")
    files = either.api("GET", "artifacts/list?" + urllib.parse.urlencode({"run_id": run["run_id"], "path": folder})).json()["files"]
    assert {"path": name, "is_dir": False, "file_size": len(name.encode())} in files
    assert get(either, root + "/" + name).content == name.encode()


@pytest.mark.parametrize("path", ["../x", "a/../../x", "%2e%2e/x", "%2e%2e%2fx", "%252e%252e%252fx", "..%5cx", "a//b", "a/./b", "%2fetc/passwd", "a%00b", "a%0ab", "C:/x", "a%23b", "%ff", ".", "a/", "%2e"])
def test_bad_paths_are_refused_everywhere(either, path):
    session = requests.Session()
    # Who removes a folder may say so by a slash behind it, as MLflow's client does.
    for method in ("GET", "PUT", "DELETE") if path != "a/" else ("GET", "PUT"):
        sent = requests.Request(method, either.url, data=b"x" if method == "PUT" else None).prepare()
        sent.url = either.url + ROUTE + "artifacts/" + path
        assert session.send(sent, timeout=30, allow_redirects=False).status_code in (400, 404), (method, path)
    decoded = urllib.parse.unquote(path)
    run, _ = new_run(either)
    if path not in ("%ff", ".", "a/", "%2e"):
        for url in (either.url + "/get-artifact?run_id=%s&path=" % run["run_id"], either.url + "/ajax-api/2.0/mlflow/artifacts/list?run_id=%s&path=" % run["run_id"], either.url + ROUTE + "artifacts?path="):
            assert requests.get(url + urllib.parse.quote(decoded, safe=""), timeout=30).status_code == 400


def test_a_query_is_not_part_of_a_name(either):
    _, root = new_run(either)
    assert put(either, root + "/q").status_code == 200
    for method in ("GET", "PUT", "DELETE"):
        assert requests.request(method, at(either, root + "/q") + "?x=1.txt", data=b"other", timeout=30).status_code == 400
    assert get(either, root + "/q").content == b"x"


def test_ranges_conditions_and_heads(either):
    run, root = new_run(either)
    put(either, root + "/r.txt", b"0123456789")
    url, params = either.url + "/get-artifact", {"run_id": run["run_id"], "path": "r.txt"}
    whole = requests.get(url, params=params, timeout=30)
    assert whole.headers["Accept-Ranges"] == "bytes" and whole.headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in whole.headers["Content-Security-Policy"]
    assert whole.headers["Content-Disposition"] == "attachment; filename=r.txt" and whole.headers["Content-Type"] == "text/plain"
    for asked, status, want in [("bytes=2-4", 206, b"234"), ("bytes=8-", 206, b"89"), ("bytes=-3", 206, b"789"), ("bytes=5-100", 206, b"56789"), ("bytes=10-", 416, b""), ("bytes=-0", 416, b""), ("bytes=4-2", 200, b"0123456789"), ("items=1-2", 200, b"0123456789"), ("bytes=0-1,3-4", 200, b"0123456789")]:
        got = requests.get(url, params=params, headers={"Range": asked}, timeout=30)
        assert got.status_code == status and (status == 416 or got.content == want), asked
        if status == 206:
            assert got.headers["Content-Range"].endswith("/10")
    assert requests.get(url, params=params, headers={"If-None-Match": whole.headers["ETag"]}, timeout=30).status_code == 304
    assert requests.get(url, params=params, headers={"If-Modified-Since": whole.headers["Last-Modified"]}, timeout=30).status_code == 304
    assert requests.get(url, params=params, headers={"Range": "bytes=2-4", "If-Range": '"other"'}, timeout=30).status_code == 200
    tag = whole.headers["ETag"]
    for name, value, status in [("If-Match", tag, 200), ("If-Match", '"a", ' + tag, 200), ("If-Match", "*", 200), ("If-Match", '"other"', 412), ("If-Match", "W/" + tag, 412), ("If-None-Match", "W/" + tag, 304), ("If-None-Match", '"other"', 200)]:
        assert requests.get(url, params=params, headers={name: value}, timeout=30).status_code == status, (name, value)
    for more in ({}, {"Range": "bytes=2-4"}):
        head = requests.head(url, params=params, headers=more, timeout=30)
        assert head.status_code == 200 and head.headers["Content-Length"] == "10" and head.headers["ETag"] == tag and "Content-Range" not in head.headers
    assert requests.head(at(either, root + "/r.txt"), timeout=30).status_code == 200


def test_a_piece_does_not_replace_the_whole(either):
    _, root = new_run(either)
    put(either, root + "/f", b"0123456789")
    refused = put(either, root + "/f", b"01", headers={"Content-Range": "bytes 0-1/10"})
    assert refused.status_code == 400 and get(either, root + "/f").content == b"0123456789"


def test_names_of_1024_bytes(either):
    """A key of a bucket has 1,024 bytes at most, with the path of the destination."""
    run, root = new_run(either)
    before = len("team/") if "gs://bucket/team" in either.command else 0
    longest = ("/" + "ü" * 100) * 10
    for n, status in ((1024 - before, 200), (1025 - before, 400)):
        path = (root + longest).encode()[:n - 4].decode(errors="ignore")
        path += "x" * (n - len(path.encode()))
        assert put(either, path, b"x").status_code == status
        if status == 200:
            got = requests.get(either.url + "/get-artifact", params={"run_id": run["run_id"], "path": path[len(root) + 1:]}, timeout=30)
            assert got.content == b"x" and get(either, path).content == b"x"
            assert requests.delete(at(either, path), timeout=30).status_code == 200


def test_missing_things_are_404_and_empty_lists(either):
    run, root = new_run(either)
    assert get(either, root + "/none").status_code == 404 and get(either, root + "/none").json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert requests.get(either.url + ROUTE + "artifacts", params={"path": root}, timeout=30).json() == {}
    put(either, root + "/f")
    assert requests.get(either.url + ROUTE + "artifacts", params={"path": root + "/f"}, timeout=30).json() == {}
    assert requests.delete(at(either, root + "/none"), timeout=30).json() == {}
    assert requests.get(either.url + "/get-artifact", params={"run_id": "0" * 32, "path": "f"}, timeout=30).status_code == 404
    assert requests.get(either.url + "/get-artifact", params={"run_id": run["run_id"]}, timeout=30).status_code == 400


def test_removal_stops_at_the_folders_boundary(either):
    _, root = new_run(either)
    for name in ("foo/a", "foo/b/c", "foobar", "foo.txt"):
        put(either, root + "/" + name)
    assert requests.delete(at(either, root + "/foo"), timeout=30).json() == {}
    listed = requests.get(either.url + ROUTE + "artifacts", params={"path": root}, timeout=30).json()["files"]
    assert [f["path"] for f in listed] == ["foo.txt", "foobar"]


def test_page_uploads_small_files(either):
    run, _ = new_run(either)
    url = either.url + "/ajax-api/2.0/mlflow/upload-artifact"
    assert requests.post(url, params={"run_uuid": run["run_id"], "path": "notes/n.txt"}, data=b"note", timeout=30).content == b""
    assert requests.get(either.url + "/get-artifact", params={"run_uuid": run["run_id"], "path": "notes/n.txt"}, timeout=30).content == b"note"
    assert requests.post(url, params={"run_uuid": run["run_id"], "path": "big"}, data=b"z" * (10485761), timeout=60).status_code == 400
    assert requests.post(url, params={"run_uuid": run["run_id"], "path": "../x"}, data=b"z", timeout=60).status_code == 400


def test_old_clients_file_api(either):
    base, name = either.url, "mlflow-artifacts/9/" + os.urandom(8).hex() + "/artifacts"
    assert requests.post("%s/dbfs/%s/a.txt" % (base, name), data=b"old", timeout=30).status_code == 200
    assert requests.post("%s/dbfs/%s/d/empty" % (base, name), data=b"", timeout=30).status_code == 200
    assert requests.get("%s/dbfs/%s/a.txt" % (base, name), timeout=30).content == b"old"
    listed = requests.get(base + "/api/2.0/dbfs/list", json={"path": "/" + name + "/"}, timeout=30).json()["files"]
    assert [(f["path"], f["is_dir"]) for f in listed] == [("/" + name + "/a.txt", False), ("/" + name + "/d", True)]
    assert requests.get(base + "/api/2.0/dbfs/get-status", json={"path": "/" + name}, timeout=30).json()["is_dir"] is True
    assert requests.get(base + "/api/2.0/dbfs/get-status", json={"path": "/" + name + "/a.txt"}, timeout=30).json() == {"path": "/" + name + "/a.txt", "is_dir": False, "file_size": 3}
    assert requests.get(base + "/api/2.0/dbfs/get-status", json={"path": "/" + name + "/none"}, timeout=30).json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert requests.get(base + "/api/2.0/dbfs/get-status", json={"path": "/etc/passwd"}, timeout=30).status_code == 404


def half_a_put(server, path, promised=1 << 20, sent=300000):
    s = socket.create_connection(("127.0.0.1", server.port))
    s.sendall(("PUT %sartifacts/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n\r\n" % (ROUTE, path, server.port, promised)).encode() + b"h" * sent)
    return s


def test_an_upload_cut_short_is_never_visible(either):
    _, root = new_run(either)
    put(either, root + "/kept", b"before")
    for name in ("cut", "kept"):
        half_a_put(either, root + "/" + name).close()
    assert not harness.await_true(lambda: get(either, root + "/cut").status_code == 200, 1)
    assert get(either, root + "/kept").content == b"before"


@pytest.mark.parametrize("where", ["local", "bucket"])
def test_killed_worker_leaves_nothing_and_the_repeat_succeeds(where, bucket, fresh, start_tallyd, database):
    options = ["--artifacts-destination", "gs://bucket/killed"] if where == "bucket" else []
    server = start_tallyd("--workers", "1", *options, database=database, env=bucket.env)
    _, root = new_run(server)
    s = half_a_put(server, root + "/f", 8 << 20, 4 << 20)
    for pid in server.named("[wrk 1]"):
        os.kill(pid, signal.SIGKILL)
    s.settimeout(10)
    try:
        assert s.recv(100) == b""
    except ConnectionError:
        pass
    assert harness.await_true(server.answers, 20)
    assert get(server, root + "/f").status_code == 404
    assert put(server, root + "/f", b"whole").status_code == 200 and get(server, root + "/f").content == b"whole"
    if where == "local":
        assert not [p for p in (server.folder / "data" / "artifacts" / ".tallyd-tmp").iterdir()]


def test_many_uploads_at_once_are_all_stored(either):
    _, root = new_run(either)
    data = {"f%d" % i: os.urandom(200000 + i * 5000) for i in range(24)}
    answers = []
    threads = [threading.Thread(target=lambda n=n, d=d: answers.append(put(either, root + "/" + n, d).status_code)) for n, d in data.items()]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == [200] * 24
    for name, d in data.items():
        assert get(either, root + "/" + name).content == d


# ---- the bucket

def test_downloads_of_the_api_are_redirects_that_cannot_be_kept(in_bucket, fresh):
    _, root = new_run(in_bucket)
    put(in_bucket, root + "/f.html", b"<script>")
    got = get(in_bucket, root + "/f.html", allow_redirects=False)
    assert got.status_code == 302 and got.headers["Cache-Control"] == "private, no-store" and got.headers["Referrer-Policy"] == "no-referrer" and got.content == b""
    direct = requests.get(got.headers["Location"], timeout=30)
    assert direct.content == b"<script>" and direct.headers["Content-Disposition"].startswith("attachment")
    assert "X-Goog-Signature" not in in_bucket.text()


def test_pages_get_bytes_through_the_server(in_bucket, fresh):
    run, root = new_run(in_bucket)
    put(in_bucket, root + "/f", b"seen")
    got = requests.get(in_bucket.url + "/get-artifact", params={"run_id": run["run_id"], "path": "f"}, allow_redirects=False, timeout=30)
    assert got.status_code == 200 and got.content == b"seen"
    got = requests.get(in_bucket.url + "/ajax-api/2.0/mlflow-artifacts/artifacts/" + root + "/f", allow_redirects=False, timeout=30)
    assert got.status_code == 200 and got.content == b"seen"


def test_presigned_addresses(in_bucket, fresh):
    run, root = new_run(in_bucket)
    put(in_bucket, root + "/f", b"0123456789")
    got = requests.get(in_bucket.url + ROUTE + "presigned/" + root + "/f", timeout=30).json()
    assert got["file_size"] == 10 and got["headers"] == {}
    assert requests.get(got["url"], headers={"Range": "bytes=3-5"}, timeout=30).content == b"345"
    assert requests.get(in_bucket.url + ROUTE + "presigned/" + root + "/none", timeout=30).json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    fresh.tell("/_clock", add=3600)
    assert requests.get(got["url"], timeout=30).status_code == 400
    fresh.tell("/_clock", add=-3600)
    up = in_bucket.api("POST", "artifacts/presigned-upload-url", {"run_id": run["run_id"], "path": "up/x", "expiration": 60}).json()
    assert requests.put(up["presigned_url"], data=b"up", timeout=30).ok
    down = in_bucket.api("POST", "artifacts/presigned-download-url", {"run_id": run["run_id"], "path": "up/x"}).json()
    assert requests.get(down["presigned_url"], timeout=30).content == b"up" and down["file_size"] == 2
    assert in_bucket.api("POST", "artifacts/presigned-upload-url", {"run_id": run["run_id"], "path": "x", "expiration": 604801}).status == 400
    assert in_bucket.api("POST", "artifacts/presigned-upload-url", {"path": "x"}).status == 400


def test_presigned_is_501_with_local_files(tallyd):
    run, root = new_run(tallyd)
    assert requests.get(tallyd.url + ROUTE + "presigned/" + root + "/f", timeout=30).status_code == 501
    refused = requests.post(tallyd.url + ROUTE + "mpu/create/" + root, json={"path": "f", "num_parts": 2}, timeout=30)
    assert refused.status_code == 501 and refused.json()["message"].startswith("Multipart upload is not supported for the current artifact repository")


def test_packed_objects_are_handed_on_whole(in_bucket, fresh):
    import gzip
    run, root = new_run(in_bucket)
    fresh.tell("/_put", bucket="bucket", name="team/" + root + "/g.txt", headers={"Content-Encoding": "gzip"}, data=base64.b64encode(gzip.compress(b"packed text")).decode())
    assert "file_size" not in requests.get(in_bucket.url + ROUTE + "presigned/" + root + "/g.txt", timeout=30).json()
    assert get(in_bucket, root + "/g.txt").content == b"packed text"
    assert requests.get(in_bucket.url + "/get-artifact", params={"run_id": run["run_id"], "path": "g.txt"}, headers={"Range": "bytes=0-3"}, timeout=30).content == b"packed text"


def multipart(server, root, name, pieces, path=None):
    created = requests.post(server.url + ROUTE + "mpu/create/" + root, json={"path": path or "/home/me/" + name, "num_parts": len(pieces)}, timeout=60).json()
    assert [c["part_number"] for c in created["credentials"]] == list(range(1, len(pieces) + 1))
    parts = []
    for c, piece in zip(created["credentials"], pieces):
        got = requests.put(c["url"], data=piece, headers=c["headers"], timeout=60)
        parts.append({"part_number": c["part_number"], "etag": got.headers.get("ETag", ""), "url": c["url"]})
    return created["upload_id"], parts


def complete(server, root, name, upload_id, parts):
    return requests.post(server.url + ROUTE + "mpu/complete/" + root, json={"path": name, "upload_id": upload_id, "parts": parts}, timeout=60)


def test_multipart_uploads(in_bucket, fresh):
    _, root = new_run(in_bucket)
    fresh.tell("/_config", min_part=1000)
    pieces = [os.urandom(1000), os.urandom(1000), os.urandom(10)]
    upload_id, parts = multipart(in_bucket, root, "m.bin", pieces)
    assert get(in_bucket, root + "/m.bin").status_code == 404
    assert complete(in_bucket, root, "m.bin", upload_id, parts[:2]).status_code == 400
    assert complete(in_bucket, root, "other.bin", upload_id, parts).status_code == 400
    assert complete(in_bucket, root, "m.bin", upload_id, parts[::-1]).json() == {}
    assert get(in_bucket, root + "/m.bin").content == b"".join(pieces)
    assert complete(in_bucket, root, "m.bin", upload_id, parts).json() == {}
    upload_id, parts = multipart(in_bucket, root, "gone.bin", pieces)
    assert requests.post(in_bucket.url + ROUTE + "mpu/abort/" + root, json={"path": "gone.bin", "upload_id": upload_id}, timeout=30).status_code == 200
    assert complete(in_bucket, root, "gone.bin", upload_id, parts).status_code == 400
    for bad in ("..", "a/..", "x\\..", ""):
        assert requests.post(in_bucket.url + ROUTE + "mpu/create/" + root, json={"path": bad, "num_parts": 1}, timeout=30).status_code == 400


def test_ten_thousand_parts(in_bucket, fresh):
    _, root = new_run(in_bucket)
    created = requests.post(in_bucket.url + ROUTE + "mpu/create/" + root, json={"path": "huge", "num_parts": 10000}, timeout=120)
    urls = created.json()["credentials"]
    assert len(urls) == 10000 and requests.put(urls[9999]["url"], data=b"x", timeout=30).ok
    parts = [{"part_number": c["part_number"], "etag": '"%032d"' % 0, "url": c["url"]} for c in urls]
    assert complete(in_bucket, root, "huge", created.json()["upload_id"], parts).status_code == 400
    assert requests.post(in_bucket.url + ROUTE + "mpu/create/" + root, json={"path": "huge", "num_parts": 10001}, timeout=30).status_code == 501


def test_bucket_failures_that_pass_are_not_seen(in_bucket, fresh):
    run, root = new_run(in_bucket)
    fresh.tell("/_fault", n=1, method="PUT", match="/team/", status=503)
    assert put(in_bucket, root + "/f", b"once more").status_code == 200
    fresh.tell("/_fault", n=1, method="HEAD", match="/team/", drop=True)
    assert get(in_bucket, root + "/f").content == b"once more"
    fresh.tell("/_fault", n=1, method="GET", match="list-type", status=429, code="TooManyRequests")
    assert in_bucket.api("GET", "artifacts/list?run_id=" + run["run_id"]).json()["files"][0]["path"] == "f"


def test_bucket_broken_off_in_a_large_upload_gives_503(in_bucket, fresh):
    _, root = new_run(in_bucket)
    fresh.tell("/_fault", n=1, method="PUT", match="/team/", drop_after=500000)
    failed = put(in_bucket, root + "/f", b"z" * (3 << 20))
    assert failed.status_code == 503 and "Retry-After" in failed.headers
    assert get(in_bucket, root + "/f").status_code == 404
    assert put(in_bucket, root + "/f", b"z" * (3 << 20)).status_code == 200


def test_wrong_checksum_is_an_error_and_leaves_nothing(in_bucket, fresh):
    _, root = new_run(in_bucket)
    fresh.tell("/_fault", n=1, method="PUT", match="/team/", corrupt=True)
    assert put(in_bucket, root + "/f", b"z" * (3 << 20)).status_code == 502
    assert get(in_bucket, root + "/f").status_code == 404


def test_broken_download_is_read_on(in_bucket, fresh):
    run, root = new_run(in_bucket)
    data = os.urandom(3 << 20)
    put(in_bucket, root + "/f", data)
    fresh.tell("/_fault", n=1, method="GET", match="/team/", drop_after=1000000)
    assert requests.get(in_bucket.url + "/get-artifact", params={"run_id": run["run_id"], "path": "f"}, timeout=30).content == data


def test_parts_of_two_versions_are_not_mixed(in_bucket, fresh):
    run, root = new_run(in_bucket)
    put(in_bucket, root + "/f", b"old" * 100)
    got = []

    def ask():
        got.append(requests.get(in_bucket.url + "/get-artifact", params={"run_id": run["run_id"], "path": "f"}, headers={"Range": "bytes=3-8"}, timeout=30))

    fresh.tell("/_fault", n=1, method="GET", match="/team/" + root, delay=2)
    reader = threading.Thread(target=ask)
    reader.start()
    assert harness.await_true(lambda: not [f for f in fresh.state.faults if f["n"] > 0], 10)
    fresh.state.put_bytes("bucket", "team/%s/f" % root, b"new" * 100)
    reader.join(30)
    assert got[0].status_code == 503 and got[0].headers["Retry-After"]
    ask()
    assert got[1].status_code == 206 and got[1].content == b"newnew"


def test_viewer_and_creator_may_log_the_same_bytes_twice_and_are_told_what_is_missing(in_bucket, fresh):
    _, root = new_run(in_bucket)
    fresh.tell("/_role", permissions=VIEWER_CREATOR)
    assert put(in_bucket, root + "/f", b"same").status_code == 200
    assert put(in_bucket, root + "/f", b"same").status_code == 200
    refused = put(in_bucket, root + "/f", b"other")
    assert refused.status_code == 403 and "storage.objects.delete" in refused.json()["message"]
    refused = requests.delete(at(in_bucket, root + "/f"), timeout=30)
    assert refused.status_code == 403 and "storage.objects.delete" in refused.json()["message"]
    assert get(in_bucket, root + "/f").content == b"same"


def test_start_says_which_permission_is_missing(bucket, fresh, start_tallyd, database):
    fresh.tell("/_role", permissions=VIEWER_CREATOR)
    server = start_tallyd("--artifacts-destination", "gs://bucket/roles", database=database, env=bucket.env)
    assert harness.await_true(lambda: "missing storage.objects.delete" in server.text() and "roles/storage.objectUser" in server.text(), 10)


def test_everything_else_goes_on_while_the_bucket_is_away(bucket, start_tallyd, database):
    server = start_tallyd("--artifacts-destination", "gs://bucket/away", database=database, env={**bucket.env, "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9", "TALLYD_TOKEN_URI": "http://127.0.0.1:9/token"})
    run, root = new_run(server)
    waiting = threading.Thread(target=lambda: put(server, root + "/f", b"x"), daemon=True)
    waiting.start()
    assert server.api("POST", "runs/log-metric", {"run_id": run["run_id"], "key": "m", "value": 1, "timestamp": 1}).status == 200
    waiting.join(60)
    assert not waiting.is_alive()


def test_direct_mode_lists_and_shows_what_clients_wrote(bucket, fresh, start_tallyd, database):
    server = start_tallyd("--default-artifact-root", "gs://bucket/direct", database=database, env=bucket.env)
    experiment = server.api("POST", "experiments/create", {"name": "direct"}).json()["experiment_id"]
    run = server.api("POST", "runs/create", {"experiment_id": experiment, "start_time": 1}).json()["run"]["info"]
    assert run["artifact_uri"] == "gs://bucket/direct/%s/%s/artifacts" % (experiment, run["run_id"])
    fresh.tell("/_put", bucket="bucket", name=run["artifact_uri"][len("gs://bucket/"):] + "/d/f.txt", data=base64.b64encode(b"by the client").decode())
    listed = server.api("GET", "artifacts/list?run_id=" + run["run_id"]).json()
    assert listed == {"root_uri": run["artifact_uri"], "files": [{"path": "d", "is_dir": True}]}
    assert requests.get(server.url + "/get-artifact", params={"run_id": run["run_id"], "path": "d/f.txt"}, timeout=30).content == b"by the client"
    signed = server.api("POST", "artifacts/presigned-download-url", {"run_id": run["run_id"], "path": "d/f.txt"}).json()
    assert requests.get(signed["presigned_url"], timeout=30).content == b"by the client"
    other = server.api("POST", "experiments/create", {"name": "other", "artifact_location": "gs://someone-elses/x"}).json()["experiment_id"]
    run = server.api("POST", "runs/create", {"experiment_id": other, "start_time": 1}).json()["run"]["info"]
    assert server.api("GET", "artifacts/list?run_id=" + run["run_id"]).status == 400


def test_a_folder_comes_as_a_zip_file(either):
    import io
    import zipfile
    run, root = new_run(either)
    data = {"d/a.txt": b"a" * 100000, "d/deep/ü b.bin": os.urandom(700000), "d/empty": b"", "outside": b"x"}
    for name, d in data.items():
        put(either, root + "/" + name, d)
    got = requests.get(either.url + "/ajax-api/2.0/tallyd/artifacts/zip", params={"run_id": run["run_id"], "path": "d"}, timeout=60)
    assert got.status_code == 200 and got.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(got.content)) as z:
        assert z.testzip() is None
        assert {"d/" + n: z.read(n) for n in z.namelist()} == {k: v for k, v in data.items() if k != "outside"}
    with zipfile.ZipFile(io.BytesIO(requests.get(either.url + "/ajax-api/2.0/tallyd/artifacts/zip", params={"run_id": run["run_id"]}, timeout=60).content)) as z:
        assert sorted(z.namelist()) == sorted(data)
    assert requests.get(either.url + "/ajax-api/2.0/tallyd/artifacts/zip", params={"run_id": run["run_id"], "path": "none"}, timeout=60).status_code == 404
    assert requests.get(either.url + "/ajax-api/2.0/tallyd/artifacts/zip", params={"run_id": run["run_id"], "path": "../x"}, timeout=60).status_code == 400
