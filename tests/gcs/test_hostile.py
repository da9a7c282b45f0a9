"""A client, a bucket and a folder that mean no good: what is not in tests/api/test_security.py because it takes a bucket, or the store's own folder."""
import base64
import contextlib
import os
import re
import shutil
import socket
import stat
import threading
import time
import urllib.parse

import harness
import pytest
import requests

from test_artifacts import ROUTE, at, bucket, complete, either, fresh, get, half_a_put, in_bucket, multipart, new_run, put  # noqa: F401

SECRETS = re.compile(r"X-Goog-Signature|X-Goog-Credential|Bearer|ya29\.|BEGIN PRIVATE KEY|GOOG4|uploadId|upload_id|signedBlob|assertion=")


def raw(server, head, body=b"", seconds=20):
    """Status and whole answer of bytes sent as they are."""
    with socket.create_connection(("127.0.0.1", server.port), seconds) as s:
        s.sendall(head.replace("HOST", "127.0.0.1:%d" % server.port).encode("latin-1") + body)
        s.settimeout(seconds)
        answer = b""
        try:
            while data := s.recv(65536):
                answer += data
                if b"\r\n\r\n" in answer and b"100 Continue" not in answer.split(b"\r\n")[0]:
                    break
        except (TimeoutError, ConnectionError):
            pass
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else None, answer


# ---- bodies

@pytest.mark.parametrize("length, wanted", [("9223372036854775807", (None, 400, 413, 507)), ("9223372036854775808", (400, 413)), ("18446744073709551615", (400, 413)), ("99999999999999999999999", (400, 413)), ("-1", (400,)), ("0x10", (400,)), ("1 0", (400,)), ("+5", (400,))])
def test_a_length_that_cannot_be(either, length, wanted):  # noqa: F811
    _, root = new_run(either)
    status, answer = raw(either, "PUT %sartifacts/%s/f HTTP/1.1\r\nHost: HOST\r\nContent-Length: %s\r\n\r\n" % (ROUTE, root, length), b"abc", 2)
    assert status in wanted, answer
    assert get(either, root + "/f").status_code == 404
    assert either.answers()


@pytest.mark.parametrize("path, more", [("ROOT/../f", "Content-Length: 1000000"), ("ROOT/f?a=b", "Content-Length: 1000000"), ("ROOT/f", "Content-Length: 1000000\r\nContent-Range: bytes 0-999999/2000000"), ("ROOT/../f", "Transfer-Encoding: chunked")])
def test_who_asks_before_sending_is_told_no_at_once(either, path, more):  # noqa: F811
    _, root = new_run(either)
    status, answer = raw(either, "PUT %sartifacts/%s HTTP/1.1\r\nHost: HOST\r\n%s\r\nExpect: 100-continue\r\n\r\n" % (ROUTE, path.replace("ROOT", root), more), b"", 5)
    assert status == 400 and b"100 Continue" not in answer


def test_slow_uploads_hold_nobody_up(either):  # noqa: F811
    """Two hundred uploads that send a byte now and then: other requests are answered as before, memory stays."""
    _, root = new_run(either)
    slow = [half_a_put(either, "%s/slow%d" % (root, i), 1 << 20, 100 + i) for i in range(200)]
    try:
        for round_ in range(5):
            for s in slow:
                s.sendall(b"z")
            assert either.api("GET", "experiments/get?experiment_id=0").status == 200
        assert put(either, root + "/quick", b"quick").status_code == 200 and get(either, root + "/quick").content == b"quick"
    finally:
        for s in slow:
            s.close()
    assert harness.await_true(lambda: put(either, root + "/slow0", b"mine").status_code == 200, 20)
    assert get(either, root + "/slow1").status_code == 404


def test_readers_that_stop_reading_hold_nobody_up(either):  # noqa: F811
    run, root = new_run(either)
    put(either, root + "/big", os.urandom(12 << 20))
    before = sum(rss(pid) for pid in either.processes())
    held = []
    for _ in range(40):
        s = socket.create_connection(("127.0.0.1", either.port))
        s.sendall(("GET /get-artifact?run_id=%s&path=big HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (run["run_id"], either.port)).encode())
        held.append(s)
    try:
        for s in held:
            assert s.recv(100).startswith(b"HTTP/1.1 200")
        assert either.api("GET", "experiments/get?experiment_id=0").status == 200
        # 480 MB are asked for and not read: each holds a window, not the file.
        grown = sum(rss(pid) for pid in either.processes()) - before
        assert os.environ.get("TALLYD", "").find("san") >= 0 or grown < 120 << 20, grown
    finally:
        for s in held:
            s.close()


def rss(pid):
    try:
        return int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % pid).read()).group(1)) * 1024
    except (OSError, AttributeError):
        return 0


@pytest.mark.parametrize("asked", ["bytes=" + ",".join("%d-%d" % (i, i) for i in range(4000)), "bytes=0-0,-1", "bytes=0-,0-,0-,0-", "bytes=" + "9" * 400 + "-", "bytes=-" + "9" * 30, "bytes=0-" + "9" * 30, "bytes=" + "-" * 2000, "bytes==0-1", "bytes=0 - 1"])
def test_strange_ranges_are_one_answer(either, asked):  # noqa: F811
    run, root = new_run(either)
    put(either, root + "/r", b"0123456789")
    got = requests.get(either.url + "/get-artifact", params={"run_id": run["run_id"], "path": "r"}, headers={"Range": asked}, timeout=30)
    assert (got.status_code, got.content) in ((200, b"0123456789"), (206, b"0123456789"), (416, b"")) and "multipart" not in got.headers.get("Content-Type", "")


# ---- names

@pytest.mark.parametrize("name", ['a"; filename="evil.html', "a;filename*=UTF-8''evil.html", "ü\u2028.html", "‮lmth.exe", "a'b`c$(x).html", "x.html;.txt", "a,b=c", "%41%2541"])
def test_names_do_not_leave_their_header(either, name):  # noqa: F811
    run, root = new_run(either)
    stored = put(either, root + "/" + name, b"<script>")
    if stored.status_code == 400:
        return
    got = requests.get(either.url + "/get-artifact", params={"run_id": run["run_id"], "path": name}, timeout=30)
    assert got.status_code == 200 and got.content == b"<script>"
    value = got.headers["Content-Disposition"]
    assert re.fullmatch(r"""attachment; filename=([!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[ !#-\[\]-~]|\\["\\])*")(; filename\*=UTF-8''[!#$%&+\-.^_`|~0-9A-Za-z]+)?""", value), value
    sent = get(either, root + "/" + name, allow_redirects=False)
    if sent.status_code == 302:
        direct = requests.get(sent.headers["Location"], timeout=30)
        assert direct.headers["Content-Disposition"].startswith("attachment") and direct.content == b"<script>"


def test_names_that_others_put_into_the_bucket(in_bucket, fresh):  # noqa: F811
    """Objects that no client of ours could have made: the list shows them as text, and none is served under another's path."""
    run, root = new_run(in_bucket)
    odd = ["a<b>&amp;c", "x\ny", "x/../y", "//double", "nul\x01", "]]>", "ü\ufffe".encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "é" * 500]
    for i, name in enumerate(odd):
        fresh.tell("/_put", bucket="bucket", name="team/%s/%s" % (root, name), data=base64.b64encode(b"%d" % i).decode())
    put(in_bucket, root + "/plain", b"plain")
    listed = in_bucket.api("GET", "artifacts/list?run_id=" + run["run_id"])
    assert listed.status == 200 and {"path": "plain", "is_dir": False, "file_size": 5} in listed.json()["files"]
    for f in listed.json()["files"]:
        assert requests.get(in_bucket.url + "/get-artifact", params={"run_id": run["run_id"], "path": f["path"]}, timeout=30).status_code in (200, 400, 404)
    assert get(in_bucket, root + "/plain").status_code == 200


@pytest.mark.parametrize("body", [b"", b"<", b"<ListBucketResult>", b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>", b"<Contents><Key>" * 3000, b"\0" * 5000, b"<Contents><Key>&#99999999;&lol;</Key><Size>-5</Size></Contents>", b"<Contents><Size>9223372036854775807</Size><Key>a</Key></Contents>" * 3])
def test_a_bucket_that_answers_nonsense(in_bucket, fresh, body):  # noqa: F811
    run, _ = new_run(in_bucket)
    fresh.tell("/_fault", n=1, method="GET", match="list-type", body=base64.b64encode(body).decode())
    got = in_bucket.api("GET", "artifacts/list?run_id=" + run["run_id"])
    assert got.status in (200, 502, 503) and isinstance(got.json(), dict)
    assert in_bucket.answers()


# ---- the folder

def test_things_in_the_folder_that_are_no_files(tallyd):
    run, root = new_run(tallyd)
    put(tallyd, root + "/f", b"x")
    folder = tallyd.folder / "data" / "artifacts" / root
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(folder / "socket"))
        os.symlink("/etc/passwd", folder / "link")
        os.symlink("/proc/self/environ", folder / "magic")
        os.symlink("..", folder / "up")
        for name in ("pipe", "socket", "link", "magic", "up/f", "up/up/up/f"):
            assert get(tallyd, root + "/" + name).status_code in (400, 403, 404), name
            assert requests.get(tallyd.url + "/get-artifact", params={"run_id": run["run_id"], "path": name}, timeout=10).status_code in (400, 403, 404), name
        zipped = requests.get(tallyd.url + "/ajax-api/2.0/tallyd/artifacts/zip", params={"run_id": run["run_id"]}, timeout=30)
        assert zipped.status_code == 200 and b"root:" not in zipped.content
        assert requests.delete(at(tallyd, root + "/up"), timeout=30).status_code in (200, 400, 403, 404)
        assert (folder.parent.parent).exists() and get(tallyd, root + "/f").content == b"x"
        assert requests.delete(at(tallyd, root), timeout=30).status_code == 200
    assert stat.S_ISREG(os.stat("/etc/passwd").st_mode)
    assert tallyd.answers()


def test_a_folder_swapped_for_a_link_in_the_middle(tallyd, tmp_path):
    """Somebody with a shell exchanges a folder and a link to another as fast as he can: nothing lands in, or comes out of, the other."""
    _, root = new_run(tallyd)
    put(tallyd, root + "/d/f", b"inside")
    folder = tallyd.folder / "data" / "artifacts" / root
    outside = harness.open_folder("tallyd-outside-")
    (outside / "f").write_bytes(b"outside")
    (outside / "f").chmod(0o644)
    stop, swapped = threading.Event(), threading.Event()

    def swap():
        while not stop.is_set():
            # An upload may have made the folder anew at any of these moments.
            with contextlib.suppress(OSError):
                os.rename(folder / "d", folder / "kept")
            with contextlib.suppress(OSError):
                os.symlink(outside, folder / "d")
                swapped.set()
                os.unlink(folder / "d")
            with contextlib.suppress(OSError):
                os.rename(folder / "kept", folder / "d")
            if (folder / "kept").exists():
                shutil.rmtree(folder / "d", ignore_errors=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            got = get(tallyd, root + "/d/f")
            assert got.status_code in (200, 400, 403, 404) and (got.status_code != 200 or got.content in (b"inside", b"changed"))
            put(tallyd, root + "/d/f", b"changed")
            put(tallyd, root + "/d/new", b"new")
            requests.delete(at(tallyd, root + "/d/new"), timeout=30)
    finally:
        stop.set()
        thread.join()
    assert swapped.is_set()
    assert sorted(p.name for p in outside.iterdir()) == ["f"] and (outside / "f").read_bytes() == b"outside"


@pytest.mark.parametrize("path", [".tallyd-tmp", ".tallyd-tmp/x", "1/../.tallyd-tmp/x"])
def test_the_stores_own_folder_is_out_of_reach(tallyd, path):
    assert put(tallyd, path).status_code in (400, 403, 404)
    assert get(tallyd, path).status_code in (400, 403, 404)
    assert requests.delete(at(tallyd, path), timeout=30).status_code in (200, 400, 403, 404)
    files = requests.get(tallyd.url + ROUTE + "artifacts", params={"path": ""}, timeout=30).json().get("files", [])
    assert ".tallyd-tmp" not in [f["path"] for f in files]
    assert put(tallyd, "1/x/artifacts/after", b"x").status_code == 200


# ---- uploads in parts

def test_an_upload_id_serves_its_own_upload_alone(in_bucket, fresh):  # noqa: F811
    fresh.tell("/_config", min_part=1)
    _, root = new_run(in_bucket)
    upload_id, parts = multipart(in_bucket, root, "mine", [b"aa", b"b"])
    for wrong in (upload_id[:-2] + ("AA" if upload_id[-2:] != "AA" else "BB"), upload_id[1:], "x" + upload_id, upload_id + "\n", upload_id.swapcase(), "", "e", "s-", "../../x", "A" * 5000):
        assert complete(in_bucket, root, "mine", wrong, parts).status_code in (400, 404), wrong
        assert requests.post(in_bucket.url + ROUTE + "mpu/abort/" + root, json={"path": "mine", "upload_id": wrong}, timeout=30).status_code in (400, 404), wrong
    assert complete(in_bucket, root, "mine", upload_id, parts).json() == {}
    assert get(in_bucket, root + "/mine").content == b"aab"


# ---- what is logged

def test_no_secret_is_logged_at_any_level(bucket, fresh, start_tallyd, database):  # noqa: F811
    server = start_tallyd("--artifacts-destination", "gs://bucket/quiet", "--log-level", "debug", "--log-format", "json", database=database, env=bucket.env)
    fresh.tell("/_config", min_part=1)
    run, root = new_run(server)
    put(server, root + "/f", b"x" * 400000)
    get(server, root + "/f")
    requests.get(server.url + ROUTE + "presigned/" + root + "/f", timeout=30)
    upload_id, parts = multipart(server, root, "m", [b"aa", b"b"])
    complete(server, root, "m", upload_id, parts)
    for body in ({"path": "m", "upload_id": upload_id}, {"path": "m", "upload_id": "forged"}):
        requests.post(server.url + ROUTE + "mpu/abort/" + root, json=body, timeout=30)
    signed = server.api("POST", "artifacts/presigned-upload-url", {"run_id": run["run_id"], "path": "up"}).json()["presigned_url"]
    # A signed address sent to us by mistake, whole or as a query.
    requests.get(server.url + urllib.parse.urlsplit(signed).path + "?" + urllib.parse.urlsplit(signed).query, headers={"Authorization": "Bearer ya29.mine"}, timeout=30)
    requests.put(at(server, root + "/f") + "?" + urllib.parse.urlsplit(signed).query, data=b"x", timeout=30)
    for method in ("PUT", "GET", "HEAD", "DELETE"):
        fresh.tell("/_fault", n=1, method=method, match="/quiet/", status=400)
        requests.request({"HEAD": "GET"}.get(method, method), at(server, root + "/f"), data=b"x" * 300000 if method == "PUT" else None, timeout=30)
    fresh.tell("/_fault", n=1, method="PUT", match="/quiet/", drop_after=1000)
    put(server, root + "/f", b"x" * 400000)
    requests.get(server.url + "/api/2.0/tallyd/doctor", timeout=30)
    server.stop()
    text = server.text()
    assert len(text.splitlines()) > 15 and not SECRETS.search(text), SECRETS.search(text)
